package query

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// dialectStore has three minutes of two rooms, with a gap, and nanoseconds that get lost
// where microseconds are computed.
func dialectStore(t testing.TB) *store {
	s := newStore(t)
	v := s.table("db", "home", "room:tag temp:float n:int note:string")
	s.table("db", "table name with spaces", "a:tag v:int")
	twins := s.table("db", "twins", "temp:float Temp:float host:tag")
	s.addBuffer(twins, []row{{at: epoch, tags: map[string]string{"host": "a"}, fields: map[string]any{"temp": 1.0, "Temp": 2.0}}}, 1)
	at := func(minute int) int64 { return epoch + int64(minute)*int64(time.Minute) + 123456789 }
	add := func(minute int, room string, fields map[string]any) row {
		return row{at: at(minute), tags: map[string]string{"room": room}, fields: fields}
	}
	rows := []row{
		add(0, "kitchen", map[string]any{"temp": 20.0, "n": int64(1), "note": "all is well"}),
		add(4, "kitchen", map[string]any{"temp": 24.0, "n": int64(5)}),
		add(0, "attic", map[string]any{"temp": 10.5, "n": int64(3)}),
		add(2, "attic", map[string]any{"n": int64(-2), "note": "a Leak!"}),
		add(3, "attic", map[string]any{"temp": 12.5}),
	}
	s.addFile(v, rows[:3])
	s.addBuffer(v, rows[3:], 1)
	return s
}

// dialectNow is the time of the queries in testdata/dialect.txt.
func dialectNow() time.Time { return time.Unix(0, epoch).Add(time.Hour + 5) }

// TestDialect runs the script of queries in testdata/dialect.txt: behind each its answer, the
// columns with their types first, or its error.
func TestDialect(t *testing.T) {
	const path = "testdata/dialect.txt"
	q := dialectStore(t).querier(func(o *Options) { o.Now = dialectNow })
	script := mustRead(t, path)
	var got strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(script), "\n\n") {
		sql, _, _ := strings.Cut(block, "\n")
		if strings.HasPrefix(sql, "#") {
			got.WriteString(block + "\n\n")
			continue
		}
		got.WriteString(sql + "\n" + dialectAnswer(t, q, strings.TrimPrefix(sql, "> ")) + "\n")
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.TrimRight(got.String(), "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(strings.TrimSpace(script), strings.TrimSpace(got.String())); diff != "" && !*update {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func dialectAnswer(t *testing.T, q *Querier, sql string) string {
	params := map[string]any{
		"room": "attic", "from": "2023-11-14T22:13:20Z", "width": "1 minute", "limit": 1, "hours": 2, "p": 0.5, "1": "kitchen",
	}
	r, err := q.Query(t.Context(), Request{Database: "db", SQL: sql, Params: params})
	if err != nil {
		var user *UserError
		if !errors.As(err, &user) {
			t.Errorf("%s: %v is not the user's error", sql, err)
		}
		message, _, _ := strings.Cut(err.Error(), "\n")
		return "error: " + message + "\n"
	}
	defer r.Close()
	var columns []string
	for _, f := range r.Schema().Fields() {
		columns = append(columns, f.Name+" "+f.Type.String())
	}
	lines := strings.Join(columns, ", ") + "\n"
	for r.Next() {
		for i := range int(r.Record().NumRows()) {
			var values []string
			for _, c := range r.Record().Columns() {
				values = append(values, c.ValueStr(i))
			}
			lines += "  " + strings.Join(values, " | ") + "\n"
		}
	}
	if r.Err() != nil {
		lines += "error: " + r.Err().Error() + "\n"
	}
	return lines
}

// drawWidth draws an interval that date_bin takes, and how it is written.
func drawWidth(r *rapid.T) (span, string) {
	unit := rapid.SampledFrom([]string{"nanoseconds", "microseconds", "ms", "seconds", "minutes", "hours", "days", "weeks", "months", "years"}).Draw(r, "unit")
	n := rapid.Int64Range(1, 40).Draw(r, "count")
	text := fmt.Sprintf("%d %s", n, unit)
	s, ok := parseSpan(text)
	if !ok {
		r.Fatalf("%s is no interval", text)
	}
	return s, text
}

// modelBin is the model of date_bin: it walks from the origin.
func modelBin(width span, at, origin int64) int64 {
	if width.months == 0 {
		steps := (at - origin) / width.ns
		begin := origin + steps*width.ns
		if begin > at {
			begin -= width.ns
		}
		return begin
	}
	first := time.Unix(0, origin).UTC()
	begin := first
	for n := 0; ; n-- {
		if begin = first.AddDate(0, n*int(width.months), 0); begin.UnixNano() <= at {
			break
		}
	}
	for n := 1; ; n++ {
		next := begin.AddDate(0, int(width.months), 0)
		if next.UnixNano() > at {
			return begin.UnixNano()
		}
		begin = next
	}
}

// TestDateBinIsExact compares date_bin of constants, of a column and of what is only known
// while it runs with a model.
func TestDateBinIsExact(t *testing.T) {
	q := newStoreWith(t, "db").querier()
	rapid.Check(t, func(r *rapid.T) {
		width, text := drawWidth(r)
		at := rapid.Int64Range(-2e18, 4e18).Draw(r, "at")
		origin := time.Unix(0, rapid.Int64Range(-1e18, 2e18).Draw(r, "origin")).UTC()
		if width.months > 0 && origin.Day() > 28 {
			origin = origin.AddDate(0, 0, -3)
		}
		want := modelBin(width, at, origin.UnixNano())
		literal := time.Unix(0, at).UTC().Format(time.RFC3339Nano)
		sql := fmt.Sprintf(`SELECT epoch_ns(date_bin('%[1]s', to_timestamp_nanos(%[2]d), '%[3]s')), epoch_ns(date_bin('%[1]s', '%[4]s'::TIMESTAMP, '%[3]s')),
			epoch_ns(date_bin('%[1]s', x, '%[3]s')) FROM (SELECT make_timestamp_ns(%[2]d) AS x)`, text, at, origin.Format(time.RFC3339Nano), literal)
		got, err := tryAnswer(t, q, Request{Database: "db", SQL: sql})
		if err != nil || got[0] != fmt.Sprintf("%d|%[1]d|%[1]d", want) {
			r.Fatalf("%s\n got %v (%v), want %d", sql, got, err, want)
		}
	})
}

// TestNanosecondsAreKept compares date_trunc and time ± INTERVAL with Go's.
func TestNanosecondsAreKept(t *testing.T) {
	q := newStoreWith(t, "db").querier()
	rapid.Check(t, func(r *rapid.T) {
		at := time.Unix(0, rapid.Int64Range(-3e18, 4e18).Draw(r, "at")).UTC()
		width, text := drawWidth(r)
		sum, _ := width.add(at.UnixNano())
		difference, _ := width.negated().add(at.UnixNano())
		midnight := time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
		want := []int64{
			at.Truncate(time.Second).UnixNano(), midnight.UnixNano(),
			midnight.AddDate(0, 0, -(int(at.Weekday())+6)%7).UnixNano(), midnight.AddDate(0, 0, 1-at.Day()).UnixNano(),
			time.Date(at.Year(), 1, 1, 0, 0, 0, 0, time.UTC).UnixNano(), sum, difference,
		}
		if s := at.Truncate(time.Second); s.After(at) {
			want[0] = s.Add(-time.Second).UnixNano()
		}
		sql := "SELECT epoch_ns(date_trunc('second', x)), epoch_ns(date_trunc('day', x)), epoch_ns(date_trunc('week', x)), " +
			"epoch_ns(date_trunc('month', x)), epoch_ns(date_trunc('year', x)), epoch_ns(x + INTERVAL '" + text + "'), epoch_ns(x - INTERVAL '" + text + "')" +
			fmt.Sprintf(" FROM (SELECT make_timestamp_ns(%d) AS x)", at.UnixNano())
		got, err := tryAnswer(t, q, Request{Database: "db", SQL: sql})
		if err != nil || got[0] != strings.Trim(strings.ReplaceAll(fmt.Sprint(want), " ", "|"), "[]") {
			r.Fatalf("%s\n got %v (%v)\nwant %v", sql, got, err, want)
		}
	})
}

// TestPruningSeesThroughTheDialect checks that a bound on time, in whichever way it is written,
// leaves out what it excludes.
func TestPruningSeesThroughTheDialect(t *testing.T) {
	s := newStore(t)
	v := s.table("db", "cpu", "host:tag n:int")
	q := s.querier()
	want := time.Date(2023, 11, 14, 22, 0, 0, 0, time.UTC).UnixNano()
	for _, bound := range []string{
		"'2023-11-14T22:00:00Z'", "'2023-11-14 22:00:00'", "'2023-11-14T23:00:00+01:00'", "TIMESTAMP '2023-11-14T22:00:00Z'",
		"timestamp '2023-11-14 22:00'", "CAST('2023-11-14T22:00:00Z' AS TIMESTAMP)", "'2023-11-14T22:00:00Z'::timestamptz",
		"to_timestamp('2023-11-14T22:00:00Z')", "to_timestamp(1699999200)", "to_timestamp_millis(1699999200000)",
		"to_timestamp_nanos(1699999200000000000)", "1699999200000000000::TIMESTAMP", "arrow_cast('2023-11-14T22:00:00Z', 'Timestamp(Nanosecond, None)')",
		"date_trunc('hour', now())", "date_bin('1 hour', now())",
		"date_bin(INTERVAL '1 hour', now(), TIMESTAMP '1970-01-01T00:00:00Z')", "now() - INTERVAL '13 minutes 20 seconds'",
		"now() - INTERVAL '13 minutes' - INTERVAL '20 seconds'", "TIMESTAMP '2023-11-14' + INTERVAL 22 HOURS", "DATE '2023-11-14' + INTERVAL '22 hours'",
	} {
		for _, c := range constraintsOf(t, q, v.Table, "SELECT 1 FROM cpu WHERE time >= "+bound) {
			if c.time.Min < want-2000 || c.time.Min > want || c.time.Max != schema.MaxTimeRange.Max {
				t.Errorf("%s bounds time to %+v, want from %d", bound, c.time, want)
			}
		}
	}
}

// TestShowTablesListsTheUsersTablesFirst, and then the schemas in InfluxDB's order.
func TestShowTablesListsTheUsersTablesFirst(t *testing.T) {
	got := answer(t, dialectStore(t).querier(), "db", "SHOW TABLES")
	want := []string{"public|iox|home|BASE TABLE", "public|iox|table name with spaces|BASE TABLE", "public|iox|twins|BASE TABLE"}
	if len(got) < 10 || cmp.Diff(want, got[:3]) != "" {
		t.Fatalf("the tables are %q", got)
	}
	system := slices.IndexFunc(got, func(row string) bool { return strings.HasPrefix(row, "public|information_schema|") })
	for i, row := range got[3:] {
		prefix := "public|system|"
		if i+3 >= system {
			prefix = "public|information_schema|"
		}
		if !strings.HasPrefix(row, prefix) || !slices.IsSorted(got[3:system]) || !slices.IsSorted(got[system:]) {
			t.Errorf("%s is out of order in %q", row, got)
		}
	}
}
