//go:build duckdb_arrow

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

// ledgerDB is the database that the writers of this file share.
const ledgerDB = "ledger"

// A ledger is what one writer knows about its points. Nobody else writes them, so it
// knows exactly what the server must hold: what was acknowledged, and, of each point of
// the one request that was not answered, either that or what the request made of it.
// Every value carries the number of its line, so a value tells which line it is from.
//
// A check compares and then settles: what was in doubt is from then on what was seen.
// A request that was gone once thus must stay gone, and one that was there must stay.
type ledger struct {
	writer  int
	points  map[pointID]values
	doubt   map[pointID]values // the whole fields of points of the request in doubt
	ids     []pointID          // of points, to overwrite them
	columns map[string]bool    // "table.column" ever submitted
	lines   int64              // numbers the lines
	rng     *rand.Rand
}

// pointID is a point's identity: writer and series are tags.
type pointID struct {
	table          string
	writer, series string
	time           int64
}

// values are a point's fields as the JSON of a result shows them.
type values map[string]string

func newLedger(writer int) *ledger {
	return &ledger{writer: writer, points: make(map[pointID]values), columns: make(map[string]bool)}
}

// novelties are the table and the column that a round brings into being, together with
// all writers that happen to use them at the same time.
type novelties struct{ table, column string }

// line is one point to write.
type line struct {
	id     pointID
	fields values
	text   string
}

// request makes a body of 1 to 50 lines about different points.
func (l *ledger) request(n novelties) ([]byte, map[pointID]values) {
	var body strings.Builder
	submitted := make(map[pointID]values)
	for range 1 + l.rng.IntN(50) {
		x := l.line(n)
		if submitted[x.id] != nil {
			continue
		}
		merged := maps.Clone(l.points[x.id])
		if merged == nil {
			merged = make(values)
		}
		maps.Copy(merged, x.fields)
		submitted[x.id] = merged
		body.WriteString(x.text)
	}
	return []byte(body.String()), submitted
}

// manyPoints is when a writer begins to overwrite more than it adds, so that reading
// everything stays fast however many rounds there are.
const manyPoints = 500

// line makes a new point, or overwrites some fields of an old one.
func (l *ledger) line(n novelties) line {
	l.lines++
	id := l.newID(n)
	old := l.rng.IntN(5) == 0
	if len(l.ids) > manyPoints {
		old = l.rng.IntN(40) > 0
	}
	if old && len(l.ids) > 0 {
		id = l.ids[l.rng.IntN(len(l.ids))]
	}
	fields := values{"i": fmt.Sprint(l.lines)}
	text := fmt.Sprintf("%s,writer=%s,series=%s i=%di", id.table, id.writer, id.series, l.lines)
	if l.rng.IntN(2) == 0 {
		fields["f"] = fmt.Sprintf("%d.5", l.lines)
		text += fmt.Sprintf(",f=%d.5", l.lines)
	}
	if l.rng.IntN(2) == 0 {
		fields["s"] = fmt.Sprintf("line %d", l.lines)
		text += fmt.Sprintf(`,s="line %d"`, l.lines)
	}
	if l.rng.IntN(50) == 0 {
		fields[n.column] = fmt.Sprint(l.lines)
		text += fmt.Sprintf(",%s=%di", n.column, l.lines)
	}
	for name := range fields {
		l.columns[id.table+"."+name] = true
	}
	return line{id, fields, fmt.Sprintf("%s %d\n", text, id.time)}
}

// newID names a point that is new to the writer: its time is, on one of three days.
func (l *ledger) newID(n novelties) pointID {
	table := [...]string{"cpu", "disk", "mem", "net"}[l.rng.IntN(4)]
	if l.rng.IntN(50) == 0 {
		table = n.table
	}
	day := time.Date(2026, 1, 1+l.rng.IntN(3), 0, 0, 0, 0, time.UTC)
	return pointID{table, fmt.Sprint(l.writer), fmt.Sprint(l.rng.IntN(8)), day.UnixNano() + l.lines}
}

// errRefused is the error of a request that was answered, but not with success.
var errRefused = errors.New("refused")

// submit sends one request and books what comes of it. An error that is not errRefused
// is the connection's; either leaves the request in doubt.
func (l *ledger) submit(srv *server, n novelties) error {
	body, submitted := l.request(n)
	a, err := srv.post(ledgerDB, body)
	if err == nil && a.status != http.StatusNoContent {
		err = fmt.Errorf("%w with %d %.300s", errRefused, a.status, a.body)
	}
	if err != nil {
		l.doubt = submitted
		return err
	}
	for id, fields := range submitted {
		l.book(id, fields)
	}
	return nil
}

// book notes what the server holds of a point.
func (l *ledger) book(id pointID, fields values) {
	if l.points[id] == nil {
		l.ids = append(l.ids, id)
	}
	l.points[id] = fields
}

// ledgers are all writers of a test.
type ledgers []*ledger

func newLedgers(n int) ledgers {
	var all ledgers
	for i := range n {
		all = append(all, newLedger(i))
	}
	return all
}

// maxFindings ends a check that goes wrong everywhere.
const maxFindings = 10

// check reads everything and compares it with the ledgers, which it settles. It returns
// the number of points and what is wrong.
func (all ledgers) check(srv *server) (points int, findings []string) {
	srv.site.t.Helper()
	stored := make(map[string][]row)
	for table, columns := range srv.columns(ledgerDB) {
		for column := range columns {
			if !all.submitted(table, column) {
				findings = append(findings, fmt.Sprintf("nobody submitted the column %s.%s", table, column))
			}
		}
		stored[table] = srv.query(ledgerDB, "SELECT epoch_ns(time) AS ns, * EXCLUDE (time) FROM "+quoteName(table))
		points += len(stored[table])
	}
	return points, append(findings, all.compare(stored)...)
}

// compare says how the rows of all tables differ from the ledgers, which it settles.
func (all ledgers) compare(stored map[string][]row) (findings []string) {
	seen := make(map[pointID]bool)
	for table, rows := range stored {
		for _, r := range rows {
			if finding := all.checkRow(table, r, seen); finding != "" {
				findings = append(findings, finding)
			}
		}
	}
	for _, l := range all {
		for id, want := range l.points {
			if !seen[id] {
				findings = append(findings, fmt.Sprintf("lost: %v with %v", id, want))
			}
		}
		l.doubt = nil
	}
	return findings[:min(len(findings), maxFindings)]
}

// submitted reports whether any writer ever used a column. The columns of every table
// are there without being a field.
func (all ledgers) submitted(table, column string) bool {
	for _, l := range all {
		if l.columns[table+"."+column] || l.columns[table+".i"] && (column == "time" || column == "writer" || column == "series") {
			return true
		}
	}
	return false
}

// checkRow compares a row with its writer's ledger and says what is wrong with it. A
// point in doubt that is there in its new form becomes the settled one.
func (all ledgers) checkRow(table string, r row, seen map[pointID]bool) (finding string) {
	id := pointID{table: table, writer: r.text("writer"), series: r.text("series")}
	ns, ok := r["ns"].(json.Number)
	if !ok {
		return fmt.Sprintf("%s has a row without time: %v", table, r)
	}
	id.time, _ = ns.Int64() // a number that is none matches no point
	if seen[id] {
		return fmt.Sprintf("doubled: %v", id)
	}
	seen[id] = true
	got := make(values)
	for name := range r {
		if name != "ns" && name != "writer" && name != "series" {
			got[name] = r.text(name)
		}
	}
	l := all.of(id.writer)
	if l == nil {
		return fmt.Sprintf("nobody submitted %v", id)
	}
	want, doubted := l.points[id], l.doubt[id]
	if doubted != nil && maps.Equal(got, doubted) {
		l.book(id, doubted)
		return ""
	}
	if want != nil && maps.Equal(got, want) {
		return ""
	}
	return fmt.Sprintf("%v is %v, acknowledged was %v, in doubt is %v", id, got, want, doubted)
}

// of finds a writer's ledger, or nil.
func (all ledgers) of(writer string) *ledger {
	for _, l := range all {
		if fmt.Sprint(l.writer) == writer {
			return l
		}
	}
	return nil
}

// TestLedgerTellsEveryKindOfLoss: what would be wrong with a server is found.
func TestLedgerTellsEveryKindOfLoss(t *testing.T) {
	stored := func(time string, fields ...string) row {
		r := row{"writer": "0", "series": "1", "ns": json.Number(time)}
		for i := 0; i < len(fields); i += 2 {
			r[fields[i]] = fields[i+1]
		}
		return r
	}
	settled, doubted := stored("1", "i", "3", "s", "x"), stored("2", "i", "7", "f", "7.5")
	cases := []struct {
		name    string
		rows    []row
		finding string // its beginning; empty when all is well
	}{
		{"as acknowledged", []row{settled}, ""},
		{"with the request in doubt", []row{settled, doubted}, ""},
		{"with an overwrite in doubt", []row{stored("1", "i", "8", "s", "x")}, ""},
		{"lost", nil, "lost: {m 0 1 1}"},
		{"doubled", []row{settled, settled}, "doubled: {m 0 1 1}"},
		{"torn", []row{settled, stored("2", "i", "7")}, "{m 0 1 2} is map[i:7]"},
		{"field lost", []row{stored("1", "i", "3")}, "{m 0 1 1} is map[i:3]"},
		{"old value", []row{stored("1", "i", "2", "s", "x")}, "{m 0 1 1} is map[i:2 s:x]"},
		{"invented", []row{settled, stored("3", "i", "9")}, "{m 0 1 3} is map[i:9]"},
		{"of nobody", []row{settled, {"writer": "9", "series": "1", "ns": json.Number("1")}}, "nobody submitted {m 9 1 1}"},
		{"without time", []row{settled, {"writer": "0"}}, "m has a row without time"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := newLedger(0)
			l.book(pointID{"m", "0", "1", 1}, values{"i": "3", "s": "x"})
			l.doubt = map[pointID]values{
				{"m", "0", "1", 2}: {"i": "7", "f": "7.5"},
				{"m", "0", "1", 1}: {"i": "8", "s": "x"},
			}
			got := ledgers{l}.compare(map[string][]row{"m": c.rows})
			if len(got) > 1 || (len(got) == 1) != (c.finding != "") || c.finding != "" && !strings.HasPrefix(got[0], c.finding) {
				t.Errorf("found %q, not %q", got, c.finding)
			}
			// Whatever was seen is settled: the next time it must be there again.
			if again := (ledgers{l}).compare(map[string][]row{"m": c.rows}); c.finding == "" && len(again) > 0 {
				t.Errorf("found %q the second time", again)
			}
		})
	}
	l := newLedger(0)
	l.doubt = map[pointID]values{{"m", "0", "1", 2}: {"i": "7", "f": "7.5"}}
	if got := (ledgers{l}).compare(nil); len(got) > 0 {
		t.Errorf("found %q", got)
	}
	if got := (ledgers{l}).compare(map[string][]row{"m": {doubted}}); len(got) != 1 {
		t.Errorf("what was gone once came back, and found was %q", got)
	}
}
