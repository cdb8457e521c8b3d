package query

import (
	"strconv"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// queriesTable is the query log. Its first columns are InfluxDB 3's, as far as they mean
// something here; those named …_duration are seconds:
//
//	phase              received (being planned), planned (queued), permit (running), success, fail or cancel
//	parquet_files      Parquet files that the query reads
//	plan_duration      parsing and planning
//	permit_duration    waiting for other queries to end
//	execute_duration   from then to the end of the answer, the client's reading included
//	end2end_duration   all of it
//	success, running, cancelled   what phase says, as booleans
//	max_memory         bytes that all queries together held at most in a moment in which this one ran,
//	                   as DuckDB cannot tell whose they are; null for queries of a few milliseconds
//
// DuckDB does not tell the time of one query's threads, so compute_duration is null.
//
// Ours:
//
//	state              queued, running, completed, failed, cancelled, timeout or killed
//	protocol, token    how the query came, and the name of the sender's token
//	params             names of its parameters, without values
//	rows, bytes        of the answer, so far
//	files_pruned       Parquet files of its tables that were left out by time or tags
//	file_rows          rows in the files read
//	buffered_rows      rows read that are in no file yet
//	retries            attempts that ended for lack of memory before the last one
var queriesTable = &systemTable{
	schema: "system", name: "queries", rows: systemQueries,
	columns: []schema.Column{
		{Name: "id", Type: schema.Uint64},
		{Name: "phase", Type: schema.String},
		{Name: "issue_time"},
		{Name: "query_type", Type: schema.String},
		{Name: "query_text", Type: schema.String},
		{Name: "parquet_files", Type: schema.Int64},
		{Name: "plan_duration", Type: schema.Float64},
		{Name: "permit_duration", Type: schema.Float64},
		{Name: "execute_duration", Type: schema.Float64},
		{Name: "end2end_duration", Type: schema.Float64},
		{Name: "compute_duration", Type: schema.Float64},
		{Name: "max_memory", Type: schema.Int64},
		{Name: "success", Type: schema.Bool},
		{Name: "running", Type: schema.Bool},
		{Name: "cancelled", Type: schema.Bool},
		{Name: "state", Type: schema.String},
		{Name: databaseTag, Type: schema.String},
		{Name: "protocol", Type: schema.String},
		{Name: "token", Type: schema.String},
		{Name: "params", Type: schema.String},
		{Name: "rows", Type: schema.Int64},
		{Name: "bytes", Type: schema.Int64},
		{Name: "files_pruned", Type: schema.Int64},
		{Name: "file_rows", Type: schema.Int64},
		{Name: "buffered_rows", Type: schema.Int64},
		{Name: "retries", Type: schema.Int64},
		{Name: "error", Type: schema.String},
	},
}

func systemQueries(r *running) ([][]string, error) {
	infos := r.querier.Queries(r.view.Database.Name)
	rows := make([][]string, len(infos))
	for i := range infos {
		rows[i] = queryRow(&infos[i])
	}
	return rows, nil
}

func queryRow(q *QueryInfo) []string {
	return []string{
		strconv.FormatUint(q.ID, 10), textValue(q.phase()), instantValue(schema.Nanoseconds(q.Issued)),
		textValue(q.Language), textValue(q.Text), countValue(q.FilesRead),
		secondsValue(q.Plan), secondsValue(q.Wait), secondsValue(q.Execute), secondsValue(q.EndToEnd), "NULL",
		bytesOrNull(q.PeakMemory),
		boolValue(q.State == QueryCompleted), boolValue(!q.State.IsFinal()), boolValue(q.phase() == "cancel"),
		textValue(string(q.State)), textValue(q.Database), textOrNull(q.Protocol), textOrNull(q.Token),
		textOrNull(strings.Join(q.Params, ", ")), strconv.FormatInt(q.Rows, 10), strconv.FormatInt(q.Bytes, 10),
		countValue(q.FilesPruned), strconv.FormatInt(q.FileRows, 10), strconv.FormatInt(q.BufferedRows, 10),
		countValue(q.Retries), textOrNull(q.Error),
	}
}

// phase is the state in InfluxDB 3's words.
func (q *QueryInfo) phase() string {
	switch q.State {
	case QueryQueued:
		return "planned"
	case QueryRunning:
		if q.Execute == 0 {
			return "received"
		}
		return "permit"
	case QueryCompleted:
		return "success"
	case QueryFailed:
		return "fail"
	}
	return "cancel"
}

// bytesOrNull is null for 0, which stands for unknown.
func bytesOrNull(n int64) string {
	if n == 0 {
		return "NULL"
	}
	return strconv.FormatInt(n, 10)
}

// textOrNull is null for the empty text.
func textOrNull(s string) string {
	if s == "" {
		return "NULL"
	}
	return textValue(s)
}

func secondsValue(d time.Duration) string {
	return sqltext.Literal(strconv.FormatFloat(d.Seconds(), 'g', -1, 64)) // a text is cast exactly
}
