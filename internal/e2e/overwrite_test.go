//go:build duckdb_arrow

package e2e

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// sensors is the little table of the overwriting test: what it must hold by now.
type sensors struct {
	srv    *server
	points map[sensor]*reading
}

// sensor is a point's identity. Its time is in nanoseconds.
type sensor struct {
	host string
	time int64
}

// reading is a point's fields; a field that was never written is 0 and absent.
type reading struct{ a, b int64 }

// set writes fields of a point; 0 leaves a field alone.
func (s *sensors) set(host string, time, a, b int64) {
	s.srv.site.t.Helper()
	var fields []string
	r := s.points[sensor{host, time}]
	if r == nil {
		r = &reading{}
		s.points[sensor{host, time}] = r
	}
	if a != 0 {
		r.a, fields = a, append(fields, fmt.Sprintf("a=%di", a))
	}
	if b != 0 {
		r.b, fields = b, append(fields, fmt.Sprintf("b=%di", b))
	}
	s.srv.write("db", fmt.Sprintf("sensors,host=%s %s %d\n", host, strings.Join(fields, ","), time))
}

// rows returns the points that keep accepts as rows of text, ordered by host and time.
func (s *sensors) rows(keep func(sensor, reading) bool) []string {
	var rows []string
	for id, r := range s.points {
		if keep(id, *r) {
			rows = append(rows, fmt.Sprintf("%s %d %s %s", id.host, id.time, optional(r.a), optional(r.b)))
		}
	}
	slices.Sort(rows)
	return rows
}

func optional(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// filters are conditions, in SQL, in InfluxQL where it can say that, and on the model. Those
// on fields must not find a value that was replaced.
var filters = []struct {
	where    string
	influxQL string
	keep     func(sensor, reading) bool
}{
	{"true", "time > 0", func(sensor, reading) bool { return true }},
	{"host = 'x1'", "host = 'x1'", func(id sensor, _ reading) bool { return id.host == "x1" }},
	{"host IN ('x1', 'y1', 'none')", "host = 'x1' OR host = 'y1' OR host = 'none'", func(id sensor, _ reading) bool { return id.host != "x2" }},
	{"host LIKE 'x%'", "host =~ /^x/", func(id sensor, _ reading) bool { return id.host[0] == 'x' }},
	{"host <> 'y1' AND b IS NOT NULL", "host <> 'y1' AND b <> 0", func(id sensor, r reading) bool { return id.host != "y1" && r.b != 0 }},
	{"a IN (1, 2, 3, 100, 200, 3000)", "a = 1 OR a = 2 OR a = 3 OR a = 100 OR a = 200 OR a = 3000", func(_ sensor, r reading) bool { return slices.Contains([]int64{1, 2, 3, 100, 200, 3000}, r.a) }},
	{"a = 100", "a = 100", func(_ sensor, r reading) bool { return r.a == 100 }},
	{"a > 1000", "a > 1000", func(_ sensor, r reading) bool { return r.a > 1000 }},
	{"a <= 1000", "a <= 1000", func(_ sensor, r reading) bool { return r.a != 0 && r.a <= 1000 }},
	{"a IS NULL", "", func(_ sensor, r reading) bool { return r.a == 0 }},
	{"a < 1000 OR host = 'y1'", "a < 1000 OR host = 'y1'", func(id sensor, r reading) bool { return r.a != 0 && r.a < 1000 || id.host == "y1" }},
	{"time >= '1970-01-01T00:00:00.000000020'", "time >= '1970-01-01T00:00:00.000000020Z'", func(id sensor, _ reading) bool { return id.time >= 20 }},
	{"time < '1970-01-01T00:00:00.000000020' AND host = 'x1'", "time < 20 AND host = 'x1'", func(id sensor, _ reading) bool { return id.time < 20 && id.host == "x1" }},
	{"epoch_ns(time) = 10", "time = 10", func(id sensor, _ reading) bool { return id.time == 10 }},
}

// check asks for the points in every shape of query.
func (s *sensors) check(stage string) {
	s.srv.site.t.Helper()
	for _, f := range filters {
		want := s.rows(f.keep)
		s.checkShapes(stage, f.where, want)
		s.checkFlight(stage, "sql", "SELECT host, CAST(epoch_ns(time) AS VARCHAR), a, b FROM sensors WHERE "+f.where, want)
		if f.influxQL != "" {
			s.checkInfluxQL(stage, f.influxQL, want)
		}
	}
	s.checkGroups(stage)
	s.checkLast(stage)
}

// checkShapes asks for the rows themselves, their number, and sums of them.
func (s *sensors) checkShapes(stage, where string, want []string) {
	s.srv.site.t.Helper()
	from := " FROM sensors WHERE " + where
	var got []string
	for _, r := range s.srv.query("db", "SELECT host, epoch_ns(time) AS ns, coalesce(CAST(a AS VARCHAR), '-') AS a, coalesce(CAST(b AS VARCHAR), '-') AS b"+from) {
		got = append(got, fmt.Sprint(r.text("host"), " ", r.text("ns"), " ", r.text("a"), " ", r.text("b")))
	}
	slices.Sort(got)
	s.expect(stage, "rows where "+where, want, got)
	present, sum := sumOfA(want)
	r := s.srv.query("db", "SELECT count(*) AS n, count(a) AS present, coalesce(sum(a), 0) AS sum"+from)[0]
	s.expect(stage, "aggregates where "+where,
		fmt.Sprint(len(want), present, sum), fmt.Sprint(r.text("n"), " ", r.text("present"), " ", r.text("sum")))
	n := s.srv.query("db", "SELECT count(*) AS n"+from)[0].number("n")
	s.expect(stage, "the bare count where "+where, len(want), n)
}

// sumOfA returns the number of rows with a value of a, and their sum.
func sumOfA(rows []string) (present, sum int64) {
	for _, row := range rows {
		var a int64
		if _, err := fmt.Sscan(strings.Fields(row)[2], &a); err == nil {
			sum, present = sum+a, present+1
		}
	}
	return present, sum
}

// checkInfluxQL asks for the rows in three ways, and for an aggregate.
func (s *sensors) checkInfluxQL(stage, where string, want []string) {
	s.srv.site.t.Helper()
	var rows, groups []string
	for _, one := range s.srv.influxQL("db", "SELECT host, a, b FROM sensors WHERE "+where) {
		for _, v := range one.Values {
			rows = append(rows, fmt.Sprint(v[1], " ", v[0], " ", valueText(v[2]), " ", valueText(v[3])))
		}
	}
	for _, one := range s.srv.influxQL("db", "SELECT a, b FROM sensors WHERE "+where+" GROUP BY host ORDER BY time DESC") {
		for _, v := range one.Values {
			groups = append(groups, fmt.Sprint(one.Tags["host"], " ", v[0], " ", valueText(v[1]), " ", valueText(v[2])))
		}
	}
	slices.Sort(rows)
	slices.Sort(groups)
	s.expect(stage, "InfluxQL where "+where, want, rows)
	s.expect(stage, "InfluxQL by host where "+where, want, groups)
	s.checkFlight(stage, "influxql", "SELECT host, a, b FROM sensors WHERE "+where, want)

	present, sum := sumOfA(want)
	var count, total string
	for _, one := range s.srv.influxQL("db", "SELECT count(a), sum(a) FROM sensors WHERE "+where) {
		count, total = valueText(one.Values[0][1]), valueText(one.Values[0][2])
	}
	if present == 0 {
		s.expect(stage, "InfluxQL aggregate where "+where, "", count)
		return
	}
	s.expect(stage, "InfluxQL aggregate where "+where, fmt.Sprint(present, sum), count+" "+total)
}

// checkFlight asks for the rows over Flight. An answer to InfluxQL has the measurement in front
// and then the time.
func (s *sensors) checkFlight(stage, queryType, text string, want []string) {
	s.srv.site.t.Helper()
	var got []string
	for _, row := range s.srv.flight("db", queryType, text) {
		if queryType == "influxql" {
			at, err := time.Parse("2006-01-02T15:04:05.999999999", row[1])
			if err != nil {
				s.srv.site.t.Fatal(err)
			}
			row = []string{row[2], fmt.Sprint(at.UnixNano()), row[3], row[4]}
		}
		got = append(got, strings.Join(row, " "))
	}
	slices.Sort(got)
	s.expect(stage, "Flight "+queryType+": "+text, want, got)
}

func (s *sensors) checkGroups(stage string) {
	s.srv.site.t.Helper()
	want, got := make(map[string]string), make(map[string]string)
	for _, host := range []string{"x1", "x2", "y1"} {
		var n, low, high int64
		for id, r := range s.points {
			if id.host != host {
				continue
			}
			n++
			if r.a != 0 {
				high = max(high, r.a)
				low = min(r.a, cmp.Or(low, r.a))
			}
		}
		if n > 0 {
			want[host] = fmt.Sprint(n, optional(low), optional(high))
		}
	}
	for _, r := range s.srv.query("db", "SELECT host, count(*) AS n, min(a) AS low, max(a) AS high FROM sensors GROUP BY host") {
		got[r.text("host")] = fmt.Sprint(r.number("n"), cmp.Or(r.text("low"), "-"), cmp.Or(r.text("high"), "-"))
	}
	s.expect(stage, "groups", want, got)
}

func (s *sensors) checkLast(stage string) {
	s.srv.site.t.Helper()
	var last sensor
	for id := range s.points {
		if id.host == "x1" && id.time > last.time {
			last = id
		}
	}
	r := s.srv.query("db", "SELECT a, epoch_ns(time) AS ns FROM sensors WHERE host = 'x1' ORDER BY time DESC LIMIT 1")
	s.expect(stage, "the last point", []string{fmt.Sprint(last.time), optional(s.points[last].a)},
		[]string{r[0].text("ns"), cmp.Or(r[0].text("a"), "-")})
}

func (s *sensors) expect(stage, what string, want, got any) {
	s.srv.site.t.Helper()
	if d := gocmp.Diff(want, got); d != "" {
		s.srv.site.t.Errorf("%s: %s (-want +got)\n%s", stage, what, d)
	}
}

// TestLaterWriteWinsFieldByField shows X5: the points are overwritten once in each
// constellation of buffers and files, and all shapes of queries are asked after each.
func TestLaterWriteWinsFieldByField(t *testing.T) {
	site := newSite(t)
	site.env = append(site.env, "SILTSTONE_COMPACTION=off") // or few files would be left to overlap
	s := &sensors{site.start(), make(map[sensor]*reading)}
	stage := func(name string, change func()) {
		change()
		s.check(name)
	}
	restart := func(end func(*server)) func() {
		return func() { end(s.srv); s.srv = site.start() }
	}
	stage("within the buffer", func() {
		s.set("x1", 10, 1, 5)
		s.set("x1", 10, 2, 0)
		s.set("x1", 30, 3, 0)
		s.set("x2", 10, 7, 0)
		s.set("x2", 10, 0, 8)
		s.set("y1", 20, 100, 0)
	})
	stage("after a kill without a flush", restart((*server).kill))
	stage("in one file", func() { s.srv.flush() })
	stage("buffer over file", func() {
		s.set("x1", 10, 3, 0)    // of a file's point
		s.set("x1", 20, 2000, 0) // new, between the file's
		s.set("y1", 20, 200, 9)
		s.set("x1", 30, 0, 6) // another field of it
	})
	stage("buffer over file after a kill", restart((*server).kill))
	stage("two overlapping files", func() { s.srv.flush() })
	stage("buffer over two files", func() {
		s.set("x1", 10, 3000, 0)
		s.set("y1", 20, 0, 10)
		s.set("y1", 86400e9+10, 4000, 0) // another day
	})
	stage("three overlapping files", func() { s.srv.flush() })
	stage("three files after a kill", restart((*server).kill))
	stage("one file's range within another's", func() {
		s.set("x1", 5, 11, 0)
		s.set("x1", 30, 3500, 0)
		s.set("y1", 86400e9+10, 4001, 1)
		s.set("y1", 20, 5000, 0)
		s.srv.flush()
	})
	stage("buffer over all after a kill", func() {
		s.set("x2", 10, 6000, 0)
		s.set("x1", 5, 0, 12)
		restart((*server).kill)()
	})
	stage("after a stop", restart((*server).stop))
	if files := len(site.parquetFiles()); files < 4 {
		t.Errorf("the points came to be in %d files only", files)
	}
}
