package httpapi

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// databaseBody is what creates or changes a database.
type databaseBody struct {
	Database  string    `json:"db"`
	Retention retention `json:"retention_period"`
}

// retention is how long a database keeps points, in JSON a duration in words; null, or
// no field at all, is for ever.
type retention time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (d *retention) UnmarshalJSON(text []byte) error {
	var words *string
	if err := json.Unmarshal(text, &words); err != nil {
		return err
	}
	if words == nil {
		return nil
	}
	parsed, err := parseRetention(*words)
	*d = retention(parsed)
	return err
}

// parseRetention refuses a period of zero, which one would take for "for ever" and
// another for "nothing".
func parseRetention(words string) (time.Duration, error) {
	d, err := parseDuration(words)
	if err == nil && d == 0 {
		err = badRequest("a retention period of zero keeps nothing; to keep points for ever set none")
	}
	return d, err
}

func (s *Server) createDatabase(b *backend, w http.ResponseWriter, r *http.Request) error {
	body, err := s.databaseBody(w, r)
	if err != nil {
		return err
	}
	err = b.engine.CreateDatabase(body.Database, time.Duration(body.Retention))
	return answerEmpty(w, http.StatusOK, configureError(err, body.Database))
}

func (s *Server) updateDatabase(b *backend, w http.ResponseWriter, r *http.Request) error {
	body, err := s.databaseBody(w, r)
	if err != nil {
		return err
	}
	err = b.engine.SetRetention(body.Database, time.Duration(body.Retention))
	return answerEmpty(w, http.StatusOK, configureError(err, body.Database))
}

func (s *Server) databaseBody(w http.ResponseWriter, r *http.Request) (databaseBody, error) {
	var body databaseBody
	if err := s.decodeJSON(w, r, &body); err != nil {
		return body, err
	}
	return body, requireFields("db", body.Database)
}

func (s *Server) setRetention(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := requiredParams(r, "db", "duration")
	if err != nil {
		return err
	}
	d, err := parseRetention(p[1])
	if err != nil {
		return badRequest("invalid duration: %v", err)
	}
	return answerEmpty(w, http.StatusNoContent, configureError(b.engine.SetRetention(p[0], d), p[0]))
}

func (s *Server) clearRetention(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := requiredParams(r, "db")
	if err != nil {
		return err
	}
	return answerEmpty(w, http.StatusNoContent, configureError(b.engine.SetRetention(p[0], 0), p[0]))
}

func (s *Server) deleteDatabase(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r)
	if err != nil {
		return err
	}
	names, err := p.require("db")
	if err != nil {
		return err
	}
	at, err := purgeTime(p, s.opts.Now())
	if err != nil {
		return err
	}
	return answerEmpty(w, http.StatusOK, configureError(b.engine.DeleteDatabase(names[0], at), names[0]))
}

// listDatabases lists the databases that the sender may read; deleted ones, which are
// nobody's to read, are for admins, and under the names that InfluxDB 3 gives them.
func (s *Server) listDatabases(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r)
	if err != nil {
		return err
	}
	if _, err := p.require("format"); err != nil {
		return err
	}
	showDeleted, err := boolParam(p.Values, "show_deleted", false)
	if err != nil {
		return err
	}
	id, snapshot := identityOf(r), b.engine.Schema()
	columns := []arrow.Field{textColumn("iox::database"), boolColumn("deleted")}
	if !showDeleted {
		columns = columns[:1]
	}
	list := newListing(columns...)
	add := func(name string, deleted bool) {
		row := []cell{textCell(name), boolCell(deleted)}
		list.add(row[:len(columns)]...)
	}
	for _, d := range snapshot.Databases() {
		if id.MayRead(d.Name) {
			add(d.Name, false)
		}
	}
	if showDeleted && id.Admin {
		for _, d := range snapshot.DeletedDatabases() {
			add(deletedName(d.Name, d.Deleted.At), true)
		}
	}
	return list.answer(w, p.Get("format"))
}

// deletedName is what InfluxDB 3 calls something after its deletion.
func deletedName(name string, at int64) string {
	return name + "-" + time.Unix(0, at).UTC().Format("20060102T150405")
}
