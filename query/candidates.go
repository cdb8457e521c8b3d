package query

import (
	"context"
	"errors"
)

// errUnbound is the cause of a UserError about a name that means nothing where it stands, or
// a type that does not fit.
var errUnbound = errors.New("a name or a type does not fit")

// withCandidates says an error about a name anew, with all columns in sight. Scans have only
// the columns that the query names, and DuckDB, which suggests what is similar, would
// suggest among them.
func (r *running) withCandidates(ctx context.Context, stmt *statement, used *columnNames, err error) error {
	if used.all || !errors.Is(err, errUnbound) {
		return err
	}
	r.unfold()
	r.noFold = true // the columns of folded rows are nobody's
	scans, fault := r.scans(stmt, r.tables, &columnNames{all: true})
	if fault != nil {
		return err
	}
	text, fault := stmt.text(ctx, r.querier.gate, scans)
	if fault != nil {
		return err
	}
	s := &stream{ctx: ctx, unwatch: func() {}, cancel: func() {}}
	defer s.close()
	if _, _, better := s.prepare(r.querier, text, r.columns); errors.Is(better, errUnbound) {
		return better
	}
	return err
}
