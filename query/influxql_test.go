package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/schema"
)

// askInfluxQL runs a statement and writes down its series: a line that names each, and one for
// each of its rows.
func askInfluxQL(t testing.TB, q *Querier, text string) ([]string, error) {
	t.Helper()
	return askInfluxQLOf(t, q, "t", text)
}

// askInfluxQLOf is askInfluxQL for another database.
func askInfluxQLOf(t testing.TB, q *Querier, database, text string) ([]string, error) {
	t.Helper()
	statements, err := influxql.Parse(text, nil)
	if err != nil {
		return nil, err
	}
	r, err := q.InfluxQL(t.Context(), InfluxQLRequest{Database: database, Statement: statements[0]})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var lines []string
	last := ""
	for r.Next() {
		for i := range int(r.Record().NumRows()) {
			series, values := influxqlRow(r, i)
			if series != last {
				lines = append(lines, series)
				last = series
			}
			lines = append(lines, "  "+values)
		}
	}
	return lines, r.Err()
}

func influxqlRow(r *InfluxQLResult, i int) (series, values string) {
	var tags, names, row []string
	name := ""
	for j, c := range r.Columns() {
		column := r.Record().Column(j)
		text := strings.Clone(column.ValueStr(i)) // the record's memory is DuckDB's
		switch c.Role {
		case influxql.MeasurementColumn:
			name = text
			continue
		case influxql.GroupColumn:
			tags = append(tags, c.Name+"="+text)
			continue
		case influxql.TimeColumn:
			text = strconv.FormatInt(int64(column.(*array.Timestamp).Value(i)), 10)
		}
		if column.IsNull(i) {
			text = "null"
		} else if f, ok := column.(*array.Float64); ok {
			text = strconv.FormatFloat(f.Value(i), 'g', 12, 64)
		}
		names, row = append(names, c.Name), append(row, text)
	}
	return name + "{" + strings.Join(tags, ",") + "} " + strings.Join(names, ","), strings.Join(row, " ")
}

// influxqlStore has two small measurements and a larger one, spread over a file and buffers.
func influxqlStore(t testing.TB) *store {
	s := newStore(t)
	minute := int64(time.Minute)
	m := s.table("t", "m", "host:tag dc:tag x:float i:int s:string b:bool")
	s.addFile(m, []row{
		{1 * minute, map[string]string{"host": "a"}, map[string]any{"x": 1.0, "i": int64(1), "s": "old", "b": true}},
		{1 * minute, map[string]string{"host": "b"}, map[string]any{"x": 3.0, "i": int64(7)}},
	})
	s.addBuffer(m, []row{
		{1 * minute, map[string]string{"host": "a"}, map[string]any{"s": "u"}}, // the last write wins
		{2 * minute, map[string]string{"host": "a"}, map[string]any{"x": 2.0}},
		{3 * minute, map[string]string{"host": "b", "dc": "z"}, map[string]any{"x": 4.0}},
		{4 * minute, map[string]string{}, map[string]any{"x": 9.0}},
	}, 2)
	s.addBuffer(s.table("t", "n", "host:tag x:int y:float"), []row{
		{1 * minute, map[string]string{"host": "q"}, map[string]any{"x": int64(100), "y": 2.0}},
		{2 * minute, map[string]string{"host": "r"}, map[string]any{"x": int64(200)}},
	}, 10)
	s.addBuffer(s.table("t", "twins", "Host:tag host:tag temp:float Temp:int TEMP:string"), []row{
		{1 * minute, map[string]string{"Host": "A", "host": "a"}, map[string]any{"temp": 1.5, "Temp": int64(2), "TEMP": "three"}},
		{2 * minute, map[string]string{"host": "A"}, map[string]any{"Temp": int64(4)}},
	}, 10)
	return s
}

func (s *store) influxQuerier() *Querier {
	return s.querier(func(o *Options) {
		o.Schema = func() *schema.Snapshot { return s.schema }
		o.Now = func() time.Time { return time.Unix(600, 0) }
	})
}

// The answers in testdata/influxql.txt were compared with those of an InfluxDB 1.6.7 server.
func TestInfluxQLScript(t *testing.T) {
	q := influxqlStore(t).influxQuerier()
	const path = "testdata/influxql.txt"
	old := mustRead(t, path)
	var b strings.Builder
	for line := range strings.Lines(old) {
		if strings.HasPrefix(line, "# ") {
			b.WriteString(line)
		}
		statement, ok := strings.CutPrefix(line, "> ")
		if !ok {
			continue
		}
		b.WriteString("\n" + line)
		lines, err := askInfluxQL(t, q, strings.TrimSpace(statement))
		if err != nil {
			lines = []string{"error: " + err.Error()}
		}
		for _, l := range lines {
			b.WriteString(l + "\n")
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(old, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestInfluxQLSchemaSaysWhatIsGrouped(t *testing.T) {
	q := influxqlStore(t).influxQuerier()
	statements, err := influxql.Parse("SELECT mean(x), first(s), max(b), count(i) FROM m GROUP BY host, time(1m) TZ('Europe/Berlin')", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := q.InfluxQL(t.Context(), InfluxQLRequest{Database: "t", Statement: statements[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	want := `{"measurement_column_index":0,"tag_key_columns":[{"tag_key":"host","column_index":2,"is_projected":false}]}`
	metadata := r.Schema().Metadata()
	if got, _ := metadata.GetValue(groupKeyMetadata); got != want {
		t.Errorf("metadata is %s, want %s", got, want)
	}
	var kinds []string
	for _, f := range r.Schema().Fields() {
		kind, _ := f.Metadata.GetValue(columnTypeMetadata)
		kinds = append(kinds, f.Name+" "+f.Type.String()+" "+strings.TrimPrefix(kind, "iox::column_type::"))
	}
	if diff := cmp.Diff([]string{
		"iox::measurement dictionary<values=utf8, indices=int32, ordered=false> tag", "time timestamp[ns, tz=Europe/Berlin] timestamp",
		"host utf8 tag", "mean float64 field::float", "first utf8 field::string", "max bool field::boolean", "count int64 field::integer",
	}, kinds); diff != "" {
		t.Error(diff)
	}
	rows := 0
	for r.Next() {
		if !r.Record().Schema().Equal(r.Schema()) {
			t.Errorf("a record has the schema %v", r.Record().Schema())
		}
		rows += int(r.Record().NumRows())
	}
	if r.Err() != nil || rows == 0 {
		t.Errorf("%d rows, %v", rows, r.Err())
	}
}

func TestInfluxQLNamesWhatCannotBeRead(t *testing.T) {
	s := influxqlStore(t)
	q := s.influxQuerier()
	ask := func(text string, req InfluxQLRequest) error {
		statements, err := influxql.Parse(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Statement = statements[0]
		r, err := q.InfluxQL(t.Context(), req)
		if err == nil {
			r.Close()
		}
		return err
	}
	if err := ask("SELECT x FROM m", InfluxQLRequest{Database: "nowhere"}); !errors.Is(err, engine.ErrDatabaseNotFound) {
		t.Errorf("unknown database: %v", err)
	}
	var forbidden *influxql.ForbiddenError
	never := func(string) bool { return false }
	if err := ask("SELECT x FROM (SELECT x FROM other..m), t..m", InfluxQLRequest{Database: "other"}); !errors.Is(err, engine.ErrDatabaseNotFound) {
		t.Errorf("unknown database in a subquery: %v", err)
	}
	if err := ask("SELECT x FROM other..m", InfluxQLRequest{Database: "t", MayRead: never}); !errors.As(err, &forbidden) || forbidden.Database != "other" {
		t.Errorf("unknown database that may not be read: %v", err)
	}
	if err := ask("SELECT x FROM (SELECT x FROM t..m)", InfluxQLRequest{Database: "t", MayRead: never}); !errors.As(err, &forbidden) || forbidden.Database != "t" {
		t.Errorf("forbidden database: %v", err)
	}
	var user *UserError
	if err := ask("SELECT holt_winters(mean(x), 3, 2) FROM m GROUP BY time(1m)", InfluxQLRequest{Database: "t"}); !errors.As(err, &user) || !strings.Contains(user.Message, "holt_winters") {
		t.Errorf("unsupported function: %v", err)
	}
}

func TestInfluxQLSkipsATableThatWasDropped(t *testing.T) {
	s := influxqlStore(t)
	q := s.querier(func(o *Options) {
		o.Schema = func() *schema.Snapshot { return s.schema }
		o.View = func(ctx context.Context, database string, tables []string) (*engine.View, error) {
			if slices.Contains(tables, "m") {
				return nil, &engine.TableNotFoundError{Table: "m"}
			}
			return s.view(ctx, database, tables)
		}
	})
	got, err := askInfluxQL(t, q, "SELECT x FROM m, n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"n{} time,x", "  60000000000 100", "  120000000000 200"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestInfluxQLPrunesFiles(t *testing.T) {
	s := newStore(t)
	view := s.table("t", "m", "host:tag x:float")
	for i, host := range []string{"a", "b", "c"} {
		s.addFile(view, []row{{int64(i+1) * 1e12, map[string]string{"host": host}, map[string]any{"x": float64(i)}}})
	}
	for i := range view.Files { // what is not pruned cannot be read
		if i != 1 {
			view.Files[i].Path = "/nowhere/" + strconv.Itoa(i)
		}
	}
	q := s.influxQuerier()
	for _, where := range []string{
		"time >= 1500s AND time < 2500s", "host = 'b'", "time > '1970-01-01T00:25:00Z' AND time < '1970-01-01 00:41:00'",
		"host = 'b' AND x >= 0", "host = 'b' OR host = 'bb'", "host =~ /^b$/",
	} {
		for _, text := range []string{
			"SELECT x FROM m WHERE " + where, "SELECT mean(x) FROM m WHERE " + where + " GROUP BY host",
			"SELECT max(x), host FROM (SELECT x, host FROM m WHERE " + where + ")",
			"SELECT top(x, host, 1) FROM m WHERE " + where, "SELECT cumulative_sum(x) FROM m WHERE " + where,
		} {
			if lines, err := askInfluxQL(t, q, text); err != nil || len(lines) != 2 {
				t.Errorf("%s: %q, %v", text, lines, err)
			}
		}
	}
}

// bucketModel computes GROUP BY time by the plainest means.
type bucketModel struct {
	width, offset, low, high int64
	points                   map[string]map[int64]float64 // by series and time
}

func (m *bucketModel) start(at int64) int64 {
	for start := m.offset - 100*m.width; ; start += m.width {
		if at < start+m.width {
			return start
		}
	}
}

// means gives the mean of each bucket of a series that has points.
func (m *bucketModel) means(series string) map[int64]float64 {
	sums, counts := map[int64]float64{}, map[int64]float64{}
	for at, v := range m.points[series] {
		if m.low <= at && at <= m.high {
			sums[m.start(at)] += v
			counts[m.start(at)]++
		}
	}
	for k := range sums {
		sums[k] /= counts[k]
	}
	return sums
}

// filled lists the buckets of a series as fill() says.
func (m *bucketModel) filled(series, fill string) (starts []int64, values []*float64) {
	means := m.means(series)
	if len(means) == 0 {
		return nil, nil
	}
	for k := m.start(m.low); k <= m.start(m.high); k += m.width {
		v, ok := means[k]
		if !ok && fill == "none" {
			continue
		}
		starts = append(starts, k)
		values = append(values, nil)
		if ok {
			values[len(values)-1] = &v
		}
	}
	for i := range values {
		if values[i] != nil {
			continue
		}
		switch fill {
		case "7":
			v := 7.0
			values[i] = &v
		case "previous":
			if i > 0 {
				values[i] = values[i-1]
			}
		case "linear":
			if next := slices.IndexFunc(values[i:], func(v *float64) bool { return v != nil }); i > 0 && values[i-1] != nil && next > 0 {
				v := *values[i-1] + (*values[i+next]-*values[i-1])/float64(next+1)
				values[i] = &v
			}
		}
	}
	return starts, values
}

// derive replaces values by what a transformation makes of them.
func derive(function string, starts []int64, values []*float64) (at []int64, made []*float64) {
	var seen []float64
	var last int64
	for i, v := range values {
		if v == nil {
			continue
		}
		seen = append(seen, *v)
		n := len(seen)
		var result float64
		switch function {
		case "difference(mean(x))":
			if n > 1 {
				result = seen[n-1] - seen[n-2]
			}
		case "derivative(mean(x), 1s)":
			if n > 1 {
				result = (seen[n-1] - seen[n-2]) / (float64(starts[i]-last) / 1e9)
			}
		case "moving_average(mean(x), 2)":
			if n > 1 {
				result = (seen[n-1] + seen[n-2]) / 2
			}
		}
		last = starts[i]
		if n > 1 {
			at, made = append(at, starts[i]), append(made, &result)
		}
	}
	return at, made
}

func TestInfluxQLBucketsMatchModel(t *testing.T) {
	var s *store // that of the sample
	q := newStore(t).querier(func(o *Options) {
		o.Schema = func() *schema.Snapshot { return s.schema }
		o.View = func(ctx context.Context, database string, tables []string) (*engine.View, error) {
			return s.view(ctx, database, tables)
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		m := bucketModel{points: map[string]map[int64]float64{}}
		m.width = rapid.Int64Range(2, 20).Draw(rt, "width") * 1e9
		m.offset = rapid.Int64Range(0, m.width/1e9-1).Draw(rt, "offset") * 1e9
		m.low = rapid.Int64Range(-50, 50).Draw(rt, "low") * 1e9
		m.high = m.low + rapid.Int64Range(1, 100).Draw(rt, "length")*1e9
		s = newStore(t)
		view := s.table("t", "m", "host:tag x:float")
		var rows []row
		for range rapid.IntRange(0, 40).Draw(rt, "points") {
			host := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "host")
			at := rapid.Int64Range(-60, 160).Draw(rt, "at") * 1e9
			v := float64(rapid.IntRange(-100, 100).Draw(rt, "value"))
			if m.points[host] == nil {
				m.points[host] = map[int64]float64{}
			}
			m.points[host][at] = v
			rows = append(rows, row{at, map[string]string{"host": host}, map[string]any{"x": v}})
		}
		s.addBuffer(view, rows, 7)
		fill := rapid.SampledFrom([]string{"none", "null", "7", "previous", "linear"}).Draw(rt, "fill")
		text := fmt.Sprintf("FROM m WHERE time >= %d AND time <= %d GROUP BY time(%ds, %ds), host fill(%s)",
			m.low, m.high, m.width/1e9, m.offset/1e9, fill)
		m.check(rt, t, q, "SELECT mean(x) "+text, fill, "")
		function := rapid.SampledFrom([]string{"difference(mean(x))", "derivative(mean(x), 1s)", "moving_average(mean(x), 2)"}).Draw(rt, "function")
		m.low -= m.width // one bucket more
		m.check(rt, t, q, "SELECT "+function+" "+text, fill, function)
	})
}

func (m *bucketModel) check(rt *rapid.T, t *testing.T, q *Querier, text, fill, function string) {
	var want []string
	for _, host := range []string{"a", "b", "c"} {
		starts, values := m.filled(host, fill)
		if function != "" {
			starts, values = derive(function, starts, values)
		}
		for i, v := range values {
			text := "null"
			if v != nil {
				text = strconv.FormatFloat(math.Round(*v*1e6)/1e6+0, 'g', 12, 64)
			}
			want = append(want, fmt.Sprintf("%s %d %s", host, starts[i], text))
		}
	}
	lines, err := askInfluxQL(t, q, text)
	if err != nil {
		rt.Fatalf("%s: %v", text, err)
	}
	var got []string
	host := ""
	for _, l := range lines {
		if name, ok := strings.CutPrefix(l, "m{host="); ok {
			host = name[:1]
			continue
		}
		words := strings.Fields(l)
		if f, err := strconv.ParseFloat(words[1], 64); err == nil {
			words[1] = strconv.FormatFloat(math.Round(f*1e6)/1e6+0, 'g', 12, 64)
		}
		got = append(got, host+" "+words[0]+" "+words[1])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		rt.Fatalf("%s:\n%s", text, diff)
	}
}

// Empty buckets are made in memory that no limit bounds.
func TestInfluxQLFillsNoMoreBucketsThanThereIsRoomFor(t *testing.T) {
	s := influxqlStore(t)
	q := s.influxQuerier()
	for _, rest := range []string{
		"time >= '1970-01-01T00:00:00Z' AND time < '2200-01-01T00:00:00Z' GROUP BY time(1ms)",
		"time >= '1970-01-01T00:00:00Z' AND time < '2200-01-01T00:00:00Z' GROUP BY time(1ms) fill(0)",
		"time >= '1970-01-01T00:00:00Z' AND time < '2200-01-01T00:00:00Z' GROUP BY time(1ms) fill(linear)",
		"time >= '1678-01-01T00:00:00Z' AND time < '2261-01-01T00:00:00Z' GROUP BY time(1ns) fill(0)", // more than 63 bits count
	} {
		statements, err := influxql.Parse("SELECT mean(x) FROM m WHERE "+rest, nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := q.InfluxQL(t.Context(), InfluxQLRequest{Database: "t", Statement: statements[0]})
		if err == nil {
			r.Close()
		}
		var user *UserError
		if !errors.As(err, &user) || !strings.Contains(user.Message, "buckets") || strings.Contains(user.Message, "convert") {
			t.Errorf("%s: %v", rest, err)
		}
	}
}
