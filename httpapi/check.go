package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/siltstone-db/siltstone/engine"
)

const (
	checkPath = "/api/v3/check"
	// DefaultCheckRate is what a check reads in a second unless its request says otherwise:
	// a part of what any disk does, so that nobody else notices.
	DefaultCheckRate = 50_000_000
)

// CheckLine is a line of the answer to a check: one of its fields is set. The summary is
// the last line; an answer without it was cut off.
type CheckLine struct {
	Progress *engine.CheckProgress `json:"progress,omitempty"`
	Finding  *engine.Finding       `json:"finding,omitempty"`
	Summary  *engine.CheckReport   `json:"summary,omitempty"`
}

// check verifies the data directory and answers while it does.
func (s *Server) check(b *backend, w http.ResponseWriter, r *http.Request) error {
	rate, err := checkRate(r)
	if err != nil {
		return err
	}
	return s.streamLines(w, r, func(ctx context.Context, send func(line any)) error {
		report, err := b.engine.Check(ctx, engine.CheckOptions{
			BytesPerSecond: rate,
			Found:          func(f engine.Finding) { send(CheckLine{Finding: &f}) },
			Progress:       func(p engine.CheckProgress) { send(CheckLine{Progress: &p}) },
		})
		if err == nil {
			send(CheckLine{Summary: &report})
		}
		return err
	})
}

// checkRate reads the parameter rate, in bytes a second; 0 is no bound.
func checkRate(r *http.Request) (int64, error) {
	p, err := parseParams(r)
	if err != nil {
		return 0, err
	}
	text := p.Get("rate")
	if text == "" {
		return DefaultCheckRate, nil
	}
	rate, err := strconv.ParseInt(text, 10, 64)
	if err != nil || rate < 0 {
		return 0, badRequest("invalid rate `%s`, expected bytes a second such as %d, or 0 for no bound", text, DefaultCheckRate)
	}
	return rate, nil
}
