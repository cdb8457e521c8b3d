package httpapi

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/siltstone-db/siltstone/backup"
	"github.com/siltstone-db/siltstone/engine"
)

const (
	backupPath = "/api/v3/backup"
	// backupStall is how long the receiver of a backup may take nothing: it may be sending
	// what it has to another machine.
	backupStall = 5 * time.Minute
)

// backup sends a backup of everything as it is now, but for the files that the body names. As
// long as the answer lasts its files stay in place: who wants no more of it hangs up, and who
// dies does.
func (s *Server) backup(b *backend, w http.ResponseWriter, r *http.Request) error {
	body := &pacedReader{src: http.MaxBytesReader(w, r.Body, backup.MaxHave), conn: http.NewResponseController(w), start: time.Now()}
	have, err := backup.ReadHave(body, b.engine.InstanceID())
	if err != nil {
		return err
	}
	allowStall(w, backupStall)
	pinned, err := b.engine.BeginBackup(r.Context())
	if err != nil {
		return err
	}
	defer pinned.Close()
	return stream(w, r, "application/x-tar", func(out io.Writer) error {
		return backup.Send(r.Context(), stoppable{out, s}, pinned, have, s.opts.Version)
	})
}

// stoppable is the answer of a request that ends when the server stops.
type stoppable struct {
	io.Writer
	s *Server
}

// Write implements io.Writer.
func (w stoppable) Write(b []byte) (int, error) {
	if w.s.stopping.Load() {
		return 0, errStopping
	}
	return w.Writer.Write(b)
}

// allowStall lets the client of an answer take nothing of it for longer than others.
func allowStall(w http.ResponseWriter, limit time.Duration) {
	for {
		switch inner := w.(type) {
		case *pacedWriter:
			inner.limit = max(inner.limit, limit)
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			return
		}
	}
}

const restorePath = "/api/v3/restore"

// restore makes a database of one in a backup, which the body streams.
func (s *Server) restore(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r)
	if err != nil {
		return err
	}
	database, as := p.Get("db"), p.Get("as")
	if database == "" || as == "" {
		return badRequest("db names the database in the backup, and as the one to make; both are needed")
	}
	body := &pacedReader{src: r.Body, conn: http.NewResponseController(w), start: time.Now()}
	done, err := backup.ReceiveDatabase(r.Context(), b.engine, body, database, as)
	switch {
	case errors.Is(err, engine.ErrExists):
		return &requestError{http.StatusConflict, err.Error()}
	case errors.Is(err, backup.ErrDamaged), errors.Is(err, backup.ErrNewerFormat), errors.Is(err, engine.ErrDamaged):
		return &requestError{http.StatusUnprocessableEntity, err.Error()}
	case err != nil:
		return err
	}
	writeJSON(w, http.StatusOK, done)
	return nil
}
