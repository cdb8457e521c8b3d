package query

import (
	"strconv"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// compactionsTable has the last thousand merges of files since the start, the oldest first, and then the one that goes
// on, with how far it is. Of one that failed the files are as they were.
var compactionsTable = &systemTable{
	schema: "system", name: "compactions", rows: systemCompactions,
	columns: []schema.Column{
		{Name: "begin_time"},
		{Name: "duration", Type: schema.Float64}, // seconds
		{Name: databaseTag, Type: schema.String},
		{Name: "table_name", Type: schema.String},
		{Name: "reason", Type: schema.String},
		{Name: "input_files", Type: schema.Int64},
		{Name: "input_bytes", Type: schema.Int64},
		{Name: "input_rows", Type: schema.Int64},
		{Name: "output_files", Type: schema.Int64},
		{Name: "output_bytes", Type: schema.Int64},
		{Name: "output_rows", Type: schema.Int64},
		{Name: "error", Type: schema.String},
		{Name: "running", Type: schema.Bool},
		{Name: "progress", Type: schema.Float64}, // of the input rows, at most 1
	},
}

func systemCompactions(r *running) ([][]string, error) {
	if r.querier.opts.Compactions == nil {
		return nil, nil
	}
	var rows [][]string
	for _, c := range r.querier.opts.Compactions() {
		if name := r.view.Database.Name; name != engine.InternalDatabase && name != c.Database {
			continue
		}
		rows = append(rows, []string{
			instantValue(schema.Nanoseconds(c.Begin)), secondsValue(c.Took), textValue(c.Database), textValue(c.Table), textValue(c.Reason),
			countValue(c.Inputs), strconv.FormatInt(c.InputBytes, 10), strconv.FormatUint(c.InputRows, 10),
			countValue(c.Outputs), strconv.FormatInt(c.OutputBytes, 10), strconv.FormatUint(c.OutputRows, 10), textOrNull(c.Error),
			boolValue(c.IsRunning), strconv.FormatFloat(c.Progress, 'f', -1, 64),
		})
	}
	return rows, nil
}
