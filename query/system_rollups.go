package query

import (
	"errors"
	"math"
	"strings"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/internal/humantime"
	"github.com/siltstone-db/siltstone/schema"
)

// rollupsTable says of each rollup what it is and how far its rows are stored. The times of a rollup that is stale, or
// frozen, from the beginning or to the end of time are null.
var rollupsTable = &systemTable{
	schema: "system", name: "rollups", rows: systemRollups,
	columns: []schema.Column{
		{Name: databaseTag, Type: schema.String},
		{Name: "name", Type: schema.String},
		{Name: "source", Type: schema.String},
		{Name: "interval", Type: schema.String},
		{Name: "tags", Type: schema.String},
		{Name: "aggregates", Type: schema.String},
		{Name: "retention_period", Type: schema.String}, // its own
		{Name: "frozen_before"},
		{Name: "stale_ranges", Type: schema.Int64},
		{Name: "stale_from"},
		{Name: "stale_to"}, // exclusive
		{Name: "rows", Type: schema.Uint64},
		{Name: "bytes", Type: schema.Uint64},
		{Name: "refreshed"}, // since the start
		{Name: "error", Type: schema.String},
	},
}

func systemRollups(r *running) ([][]string, error) {
	if r.querier.opts.Rollups == nil {
		return nil, nil
	}
	database := r.view.Database.Name
	if r.isInternal() {
		database = ""
	}
	all, err := r.querier.opts.Rollups(database)
	if errors.Is(err, engine.ErrDatabaseNotFound) {
		return nil, nil // deleted since
	}
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for i := range all {
		rows = append(rows, rollupRow(&all[i]))
	}
	return rows, nil
}

func rollupRow(x *engine.RollupInfo) []string {
	from, to := "NULL", "NULL"
	if n := len(x.Stale); n > 0 {
		from = boundValue(x.Stale[0].Min)
		to = boundValue(x.Stale[n-1].Max)
		if end := x.Stale[n-1].Max; end < math.MaxInt64 {
			to = instantValue(end + 1)
		}
	}
	refreshed := "NULL"
	if !x.Refreshed.IsZero() {
		refreshed = instantValue(schema.Nanoseconds(x.Refreshed))
	}
	definition := x.Table.Rollup
	return []string{
		textValue(x.Database), textValue(x.Table.Name), textValue(x.Source.Name), textValue(humantime.Format(definition.Interval)),
		textValue(strings.Join(x.Table.TagNames(), ", ")), textValue(definition.String()), retentionValue(x.Table.Retention),
		boundValue(x.FrozenBefore), countValue(len(x.Stale)), from, to, uintValue(x.Rows), uintValue(x.Bytes),
		refreshed, textOrNull(x.Error),
	}
}

// boundValue is null for the ends of time.
func boundValue(ns int64) string {
	if ns == math.MinInt64 || ns == math.MaxInt64 {
		return "NULL"
	}
	return instantValue(ns)
}
