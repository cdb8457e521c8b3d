package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/siltstone-db/siltstone/engine"
)

const compactPath = "/api/v3/compact"

// compactProgressEvery is how often the answer says how far a merge is.
const compactProgressEvery = time.Second

// CompactLine is a line of the answer to a compaction that is waited for: one of its fields is
// set. The summary is the last line; an answer without it was cut off.
type CompactLine struct {
	Merged  *engine.Compaction    `json:"merged,omitempty"`
	Running *engine.Compaction    `json:"running,omitempty"` // a merge that goes on, each second or so
	Summary *engine.CompactReport `json:"summary,omitempty"`
}

// compact merges files now, in the background, or with wait=true while it answers.
func (s *Server) compact(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r)
	if err != nil {
		return err
	}
	opts := engine.CompactOptions{Database: p.Get("db"), Table: p.Get("table")}
	if opts.Database == "" && opts.Table != "" {
		return badRequest("the table `%s` needs the parameter db", opts.Table)
	}
	switch wait := p.Get("wait"); wait {
	case "", "false":
		if err := b.engine.RequestCompaction(opts); err != nil {
			return err
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	case "true":
		return s.compactAndWait(b, w, r, opts)
	default:
		return badRequest("invalid wait `%s`, expected true or false", wait)
	}
}

func (s *Server) compactAndWait(b *backend, w http.ResponseWriter, r *http.Request, opts engine.CompactOptions) error {
	return s.streamLines(w, r, func(ctx context.Context, send func(line any)) error {
		opts.Done = func(c engine.Compaction) { send(CompactLine{Merged: &c}) }
		last := s.opts.Now()
		opts.Progress = func(c engine.Compaction) {
			if now := s.opts.Now(); now.Sub(last) >= compactProgressEvery {
				last = now
				send(CompactLine{Running: &c})
			}
		}
		report, err := b.engine.Compact(ctx, opts)
		if err == nil {
			send(CompactLine{Summary: &report})
		}
		return err
	})
}

// streamLines answers with each line that work sends, as JSON. The context of work ends when the client hangs
// up and when the server stops.
func (s *Server) streamLines(w http.ResponseWriter, r *http.Request, work func(ctx context.Context, send func(line any)) error) error {
	return stream(w, r, "application/jsonl", func(out io.Writer) error {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		lines := json.NewEncoder(out)
		err := work(ctx, func(line any) {
			if err := lines.Encode(line); err != nil {
				cancel(err)
			}
			if s.stopping.Load() {
				cancel(errStopping)
			}
		})
		return cmp.Or(context.Cause(ctx), err)
	})
}
