package httpapi

import (
	"net/http"
	"time"

	"github.com/siltstone-db/siltstone/engine"
)

// expiredPath is where one sees what retention periods remove.
const expiredPath = "/api/v3/retention/expired"

// listExpired lists, for each table, what its retention period removes, or what the period of the
// parameter duration would.
func (s *Server) listExpired(b *backend, w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r)
	if err != nil {
		return err
	}
	opts := engine.ExpiredOptions{Database: p.Get("db"), Table: p.Get("table")}
	if opts.Database == "" && opts.Table != "" {
		return badRequest("the table `%s` needs the parameter db", opts.Table)
	}
	if words := p.Get("duration"); words != "" {
		if opts.Period, err = parseRetention(words); err != nil {
			return badRequest("invalid duration: %v", err)
		}
	}
	all, err := b.engine.Expired(opts)
	if err != nil {
		return configureError(err, opts.Database+"."+opts.Table)
	}
	list := newListing(
		textColumn("database"), textColumn("table_name"), textColumn("retention_period"), textColumn("hidden_before"),
		countColumn("files"), countColumn("rows"), countColumn("bytes"), textColumn("oldest"),
		countColumn("partly_expired_files"), countColumn("trimmed_files"), textColumn("next_file_expires"),
	)
	for _, x := range all {
		list.add(
			textCell(x.Database), textCell(x.Table), textCell(x.PeriodWords()), timeCell(x.Before.UnixNano()),
			countCell(uint64(x.Files)), countCell(x.Rows), countCell(x.Bytes), instantCell(x.Oldest),
			countCell(uint64(x.Partly)), countCell(uint64(x.Trimmed)), instantCell(x.Next),
		)
	}
	return list.answer(w, p.format())
}

// instantCell is a time, or null for none.
func instantCell(t time.Time) cell {
	if t.IsZero() {
		return timeCell(0)
	}
	return timeCell(t.UnixNano())
}
