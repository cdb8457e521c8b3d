package query

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// constraintsOf returns what a query demands of its scans of cpu.
func constraintsOf(t *testing.T, q *Querier, table *schema.Table, sql string) []constraint {
	t.Helper()
	stmt, err := q.gate.parse(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if _, err := stmt.rewrite(t.Context(), q.gate, nil, time.Unix(0, epoch)); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	tables := make([]*schema.Table, len(stmt.tables))
	for i := range tables {
		tables[i] = table
	}
	return stmt.constraints(tables)
}

func TestWhereClausesBoundTimeAndTags(t *testing.T) {
	s := newStore(t)
	v := s.table("db", "cpu", "host:tag region:tag n:int Rack:tag rack:tag")
	q := s.querier()
	const slack = int64(time.Microsecond)
	everything := schema.MaxTimeRange
	from := func(at int64) schema.TimeRange { return schema.TimeRange{Min: at, Max: everything.Max} }
	until := func(at int64) schema.TimeRange { return schema.TimeRange{Min: everything.Min, Max: at} }
	const hour = int64(time.Hour)
	at := time.Date(2024, 2, 3, 4, 5, 6, 7, time.UTC).UnixNano()
	type tags = map[schema.ColumnID][]string
	for sql, want := range map[string]constraint{
		"SELECT 1 FROM cpu":             {time: everything},
		"SELECT 1 FROM cpu WHERE n = 5": {time: everything},
		"SELECT 1 FROM cpu WHERE time > '2024-02-03T04:05:06.000000007Z'":               {time: from(at - slack)},
		"SELECT 1 FROM cpu WHERE '2024-02-03 04:05:06.000000007' >= time":               {time: until(at + slack)},
		"SELECT 1 FROM cpu WHERE TIME > '2024-02-03T06:05:06.000000007+02:00'":          {time: from(at - slack)},
		"SELECT 1 FROM cpu WHERE time = TIMESTAMP '2024-02-03 04:05:06'":                {time: schema.TimeRange{Min: at - 7 - slack, Max: at - 7 + slack}},
		"SELECT 1 FROM cpu WHERE time < DATE '2024-02-03'":                              {time: until(at/hour/24*24*hour + slack)},
		"SELECT 1 FROM cpu WHERE time < '2024 yesterday'":                               {time: everything},
		"SELECT 1 FROM cpu WHERE time < '0001-01-01'":                                   {time: everything},
		"SELECT 1 FROM cpu WHERE time >= now()":                                         {time: from(epoch - slack)},
		"SELECT 1 FROM cpu WHERE time >= now() - INTERVAL '2 hours'":                    {time: from(epoch - 2*hour - slack)},
		"SELECT 1 FROM cpu WHERE time >= now() - INTERVAL 2 HOURS":                      {time: from(epoch - 2*hour - slack)},
		"SELECT 1 FROM cpu WHERE time <= now() + INTERVAL '1 month'":                    {time: until(epoch + 30*24*hour + slack)},
		"SELECT 1 FROM cpu WHERE time >= now() - INTERVAL '1 month'":                    {time: from(epoch - 31*24*hour - slack)},
		"SELECT 1 FROM cpu WHERE time >= now() - INTERVAL '1 day 2 hours'":              {time: from(epoch - 26*hour - slack)},
		"SELECT 1 FROM cpu WHERE time >= date_trunc('day', now())":                      {time: from(epoch/hour/24*24*hour - slack)},
		"SELECT 1 FROM cpu WHERE time >= date_bin('1 hour', now()) - INTERVAL '1 hour'": {time: from(epoch/hour*hour - hour - slack)},
		"SELECT 1 FROM cpu WHERE time >= now() - INTERVAL (n) DAY":                      {time: everything},
		"SELECT 1 FROM cpu WHERE time BETWEEN now() AND now()":                          {time: schema.TimeRange{Min: epoch - slack, Max: epoch + slack}},
		"SELECT 1 FROM cpu WHERE time > now() OR n = 1":                                 {time: everything},
		"SELECT 1 FROM cpu WHERE NOT time > now()":                                      {time: until(epoch + slack)},
		"SELECT 1 FROM cpu WHERE (time > now() AND host = 'a') AND n > 1":               {time: from(epoch - slack), tags: tags{1: {"a"}}},
		"SELECT 1 FROM cpu WHERE host = 'a' OR host = 'b'":                              {time: everything},
		"SELECT 1 FROM cpu WHERE 'a' = HOST AND region IN ('x', 'y')":                   {time: everything, tags: tags{1: {"a"}, 2: {"x", "y"}}},
		"SELECT 1 FROM cpu WHERE host IN ('a', 'b') AND host IN ('b', 'c')":             {time: everything, tags: tags{1: {"b"}}},
		"SELECT 1 FROM cpu WHERE host = 'a' AND host = 'b'":                             {time: everything, tags: tags{1: {}}},
		"SELECT 1 FROM cpu WHERE host NOT IN ('a') AND host <> 'b'":                     {time: everything},
		"SELECT 1 FROM cpu WHERE host IN ('a', region) AND host > 'a'":                  {time: everything},
		"SELECT 1 FROM cpu WHERE host IS NOT DISTINCT FROM 'a'":                         {time: everything},
		"SELECT 1 FROM cpu WHERE rack = 'a'":                                            {time: everything},
		"SELECT 1 FROM cpu c WHERE c.host = 'a' AND x.host = 'b'":                       {time: everything, tags: tags{1: {"a"}}},
		"SELECT 1 FROM cpu AS c(a, b) WHERE host = 'a'":                                 {time: everything},
		"SELECT 1 FROM cpu TABLESAMPLE 10% WHERE host = 'a'":                            {time: everything},
		"SELECT 1 FROM cpu WHERE host = 'a' USING SAMPLE 1":                             {time: everything},
		"SELECT host AS h FROM cpu GROUP BY host HAVING host = 'a'":                     {time: everything},
	} {
		got := constraintsOf(t, q, v.Table, sql)
		if diff := cmp.Diff([]constraint{want}, got, cmp.AllowUnexported(constraint{})); diff != "" {
			t.Errorf("%s (-want +got)\n%s", sql, diff)
		}
	}
}

func TestJoinsArePrunedByQualifiedNamesOnly(t *testing.T) {
	s := newStore(t)
	v := s.table("db", "cpu", "host:tag n:int")
	q := s.querier()
	for sql, want := range map[string][]string{
		"SELECT 1 FROM cpu a JOIN cpu b ON a.n = b.n WHERE a.host = 'x' AND host = 'y'":      {"", "x"},
		"SELECT 1 FROM cpu a LEFT JOIN cpu b ON a.n = b.n WHERE b.host = 'x'":                {"", "x"},
		"SELECT 1 FROM cpu a, cpu b WHERE a.host = 'x' AND b.host = 'y'":                     {"x", "y"},
		"SELECT 1 FROM cpu a FULL JOIN cpu b ON a.n = b.n WHERE a.host = 'x'":                {"", ""},
		"SELECT 1 FROM cpu a ASOF JOIN cpu b ON a.n >= b.n WHERE b.host = 'x'":               {"", ""},
		"SELECT 1 FROM cpu a POSITIONAL JOIN cpu b WHERE b.host = 'x'":                       {"", ""},
		"SELECT 1 FROM cpu a SEMI JOIN cpu b ON a.n = b.n WHERE a.host = 'x'":                {"", ""},
		"SELECT 1 FROM cpu WHERE EXISTS (SELECT 1 FROM cpu AS b WHERE host = 'x')":           {"", "x"},
		"WITH c AS (SELECT * FROM cpu WHERE host = 'x') SELECT 1 FROM c WHERE host = 'y'":    {"x"},
		"WITH c AS (SELECT 1 AS host) SELECT 1 FROM c, cpu AS d WHERE c.host = 'y'":          {""},
		"SELECT 1 FROM cpu WHERE host = 'x' UNION ALL SELECT 1 FROM cpu WHERE host = 'y'":    {"x", "y"},
		"SELECT 1 FROM (SELECT * FROM cpu) AS b WHERE b.host = 'x'":                          {""},
		"SELECT 1 FROM cpu AS a, (SELECT * FROM cpu WHERE host = 'y') AS b WHERE a.host='x'": {"x", "y"},
	} {
		var got []string
		for _, c := range constraintsOf(t, q, v.Table, sql) {
			got = append(got, strings.Join(c.tags[1], ","))
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}

func TestFilesAreLeftOutByTheirStatistics(t *testing.T) {
	long := strings.Repeat("x", schema.MaxStatBytes) // bounds of longer values are cut
	file := &schema.File{Time: schema.TimeRange{Min: 10, Max: 20}, Columns: []schema.ColumnStats{
		{Column: 1, Min: []byte("b"), Max: []byte("d")},
		{Column: 3, Min: schema.SortableStringMin(long + "b"), Max: schema.SortableStringMax(long + "c")},
		{Column: 4},
	}}
	for _, c := range []struct {
		constraint
		want bool
	}{
		{constraint{time: schema.MaxTimeRange}, true},
		{constraint{time: schema.TimeRange{Min: 20, Max: 30}}, true},
		{constraint{time: schema.TimeRange{Min: 21, Max: 30}}, false},
		{constraint{time: schema.TimeRange{Min: 12, Max: 11}}, false},
		{constraint{schema.MaxTimeRange, map[schema.ColumnID][]string{1: {"a"}}}, false},
		{constraint{schema.MaxTimeRange, map[schema.ColumnID][]string{1: {"a", "d"}}}, true},
		{constraint{schema.MaxTimeRange, map[schema.ColumnID][]string{1: {"da"}}}, false},
		{constraint{schema.MaxTimeRange, map[schema.ColumnID][]string{1: {}}}, false},
		{constraint{schema.MaxTimeRange, map[schema.ColumnID][]string{2: {"c"}}}, false},
		{constraint{schema.MaxTimeRange, map[schema.ColumnID][]string{3: {long + "bb"}}}, true},
		{constraint{schema.MaxTimeRange, map[schema.ColumnID][]string{4: {"anything"}}}, true},
	} {
		if got := c.allowsFile(file); got != c.want {
			t.Errorf("%+v: %v, want %v", c.constraint, got, c.want)
		}
	}
}

// What Go reads from a time stamp must contain what DuckDB reads from it.
func TestTimeStampsMeanTheSameToDuckDB(t *testing.T) {
	q := newStoreWith(t, "db").querier()
	rapid.Check(t, func(r *rapid.T) {
		at := time.Unix(0, rapid.Int64Range(-9e18, 9e18).Draw(r, "at")).UTC()
		zone := time.FixedZone("", rapid.IntRange(-12*60, 14*60).Draw(r, "zone")*60)
		layout := rapid.SampledFrom([]string{
			time.RFC3339Nano, "2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.000000000",
			"2006-01-02 15:04:05.999", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02",
		}).Draw(r, "layout")
		typ := rapid.SampledFrom([]string{"TIMESTAMP_NS", "TIMESTAMP", "TIMESTAMP_MS", "TIMESTAMP_S", "DATE"}).Draw(r, "type")
		text := at.In(zone).Format(layout)
		mine, ok := evalTime(castNode(text, typ))
		if !ok {
			return
		}
		got, err := tryAnswer(t, q, Request{Database: "db", SQL: fmt.Sprintf("SELECT epoch_ns('%s'::%s)", text, typ)})
		if err != nil {
			return // no answer can be wrong then
		}
		var theirs int64
		if _, err := fmt.Sscan(got[0], &theirs); err != nil {
			r.Fatal(err)
		}
		if !mine.Contains(theirs) {
			r.Fatalf("%s as %s: %d is not in %+v", text, typ, theirs, mine)
		}
	})
}

func TestWindowsAreWhereTwoSourcesMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sources [][]schema.TimeRange
		for range rapid.IntRange(0, 6).Draw(t, "sources") {
			var ranges []schema.TimeRange
			next := int64(0)
			for range rapid.IntRange(1, 4).Draw(t, "ranges") {
				r := schema.TimeRange{Min: next + int64(rapid.IntRange(0, 15).Draw(t, "gap"))}
				r.Max = r.Min + int64(rapid.IntRange(0, 10).Draw(t, "length"))
				next = r.Max + 2
				ranges = append(ranges, r)
			}
			sources = append(sources, ranges)
		}
		windows := overlapWindows(sources)
		for at := int64(-1); at < 120; at++ {
			covering := 0
			for _, ranges := range sources {
				if inWindow(ranges, at) {
					covering++
				}
			}
			if inWindow(windows, at) != (covering >= 2) {
				t.Fatalf("%d is covered by %d sources, windows %v", at, covering, windows)
			}
			if inWindow(windows, at) == inWindow(complement(windows), at) {
				t.Fatalf("%d is in both or neither of %v and %v", at, windows, complement(windows))
			}
		}
	})
}

func TestManyWindowsAreJoinedAtTheSmallestGaps(t *testing.T) {
	var ranges []schema.TimeRange
	for i := range int64(100) {
		ranges = append(ranges, schema.TimeRange{Min: i * 1000, Max: i*1000 + i})
	}
	joined := joinNearest(slices.Clone(ranges), 4)
	// The gap before range i is 1001-i: the widest are those at the front.
	want := []schema.TimeRange{{Min: 0, Max: 0}, {Min: 1000, Max: 1001}, {Min: 2000, Max: 2002}, {Min: 3000, Max: 99099}}
	if diff := cmp.Diff(want, joined); diff != "" {
		t.Error(diff)
	}
	same := make([]schema.TimeRange, 0, 100)
	for i := range int64(100) {
		same = append(same, schema.TimeRange{Min: i * 10, Max: i*10 + 1})
	}
	if joined := joinNearest(same, 16); len(joined) > 16 {
		t.Errorf("%d windows are left, want at most 16", len(joined))
	}
}

// A late row must not make every file of the day need merging.
func TestOneLateRowMakesOneSmallWindow(t *testing.T) {
	s := newStore(t)
	v := s.table("db", "cpu", "host:tag n:int")
	tags := map[string]string{"host": "a"}
	minute := int64(time.Minute)
	for f := range int64(10) {
		v.Files = append(v.Files, fileRef(f, schema.TimeRange{Min: epoch + f*100*minute, Max: epoch + (f*100+99)*minute}))
	}
	var rows []row
	for i := range int64(500) {
		rows = append(rows, row{at: epoch + (1000+i)*minute, tags: tags, fields: map[string]any{"n": i}})
	}
	rows[250].at = epoch + 150*minute
	s.addBuffer(v, rows, 1000)
	c, used := constraint{time: schema.MaxTimeRange}, columnNames{all: true}
	p, err := planScan(t.Context(), v, &c, &used)
	if err != nil {
		t.Fatal(err)
	}
	late := schema.TimeRange{Min: epoch + 150*minute, Max: epoch + 150*minute}
	if diff := cmp.Diff([]schema.TimeRange{late}, p.windows); diff != "" {
		t.Error(diff)
	}
	if len(p.clean) != 9 || len(p.partial) != 1 || len(p.dirty) != 1 {
		t.Errorf("%d files clean, %d partly, %d dirty, want 9, 1, 1", len(p.clean), len(p.partial), len(p.dirty))
	}
}

func TestExtremeInstantsAreMerged(t *testing.T) {
	s := newStore(t)
	v := s.table("db", "cpu", "n:int")
	for _, at := range []int64{-1<<63 + 2, minLiteral - 1, minLiteral, 0, maxLiteral, maxLiteral + 1, 1<<63 - 2} {
		old := row{at: at, fields: map[string]any{"n": int64(1)}}
		s.addBuffer(v, []row{old}, 1)
		s.addBuffer(v, []row{{at: at, fields: map[string]any{"n": int64(2)}}}, 1)
	}
	s.addFile(v, []row{{at: minLiteral, fields: map[string]any{"n": int64(0)}}, {at: maxLiteral, fields: map[string]any{"n": int64(0)}}})
	if got := answer(t, s.querier(), "db", "SELECT count(*), sum(n) FROM cpu"); got[0] != "7|14" {
		t.Errorf("got %q, want 7 points whose values sum to 14", got)
	}
}

// TestNameGivenToATwinDoesNotBoundItsOwner: of Host and host the second is shown as
// host_1, and a column that is really called host_1 as host_1_1.
func TestNameGivenToATwinDoesNotBoundItsOwner(t *testing.T) {
	s := newStore(t)
	v := s.table("db", "cpu", "Host:tag host:tag host_1:tag")
	q := s.querier()
	for sql, want := range map[string]constraint{
		"SELECT 1 FROM cpu WHERE host_1 = 'x'":   {time: schema.MaxTimeRange},
		"SELECT 1 FROM cpu WHERE host_1_1 = 'x'": {time: schema.MaxTimeRange, tags: map[schema.ColumnID][]string{3: {"x"}}},
	} {
		if diff := cmp.Diff([]constraint{want}, constraintsOf(t, q, v.Table, sql), cmp.AllowUnexported(constraint{})); diff != "" {
			t.Errorf("%s (-want +got)\n%s", sql, diff)
		}
	}
}
