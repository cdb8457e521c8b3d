package engine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/engine"
)

var modelsFlag = flag.Int("models", 8, "how many random histories TestDatabaseIsWhatAMapSays runs, beginning with -seed")

// TestDatabaseIsWhatAMapSays writes, overwrites, deletes rows, tables and databases, changes retention periods of
// databases and tables, lets time pass, flushes, compacts, restarts and crashes, all at random. After every
// step the database is what a map says, and so are its newest rows.
func TestDatabaseIsWhatAMapSays(t *testing.T) {
	for n := range *modelsFlag {
		seed := *seedFlag + uint64(n)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			defer func() {
				if t.Failed() {
					t.Logf("go test ./engine -count 1 -run '^TestDatabaseIsWhatAMapSays$' -models 1 -seed %d", seed)
				}
			}()
			newModel(t, seed).run()
		})
	}
}

// model is a database and the map that says what it is.
type model struct {
	t     *testing.T
	rng   *rand.Rand
	actor *actor // draws fields
	clock handClock
	fs    *vfs.MemFS
	e     *engine.Engine

	rows    contents // what is stored, by point
	expired map[string]bool
	period  time.Duration            // of the database, 0 is for ever
	periods map[string]time.Duration // of tables that have their own
	removed int                      // rows that had expired and did not come back
	merges  int                      // of engines that are closed
	cuts    int
}

const modelSteps = 200

// modelActions are what a model does, and how often.
var modelActions = []struct {
	name   string
	weight int
	do     func(*model)
}{
	{"write", 30, (*model).write},
	{"flush", 14, func(m *model) { flush(m.t, m.e) }},
	{"compact", 5, func(m *model) { compact(m.t, m.e) }},
	{"cut files of several days", 3, (*model).cut},
	{"compact what is due", 8, func(m *model) { m.e.CompactDue() }},
	{"delete rows", 8, (*model).deleteRows},
	{"delete a table", 2, (*model).deleteTable},
	{"delete the database", 1, (*model).deleteDatabase},
	{"change the database's period", 3, (*model).setRetention},
	{"change a table's period", 4, (*model).setTableRetention},
	{"let time pass", 8, func(m *model) { m.clock.pass(m.e, time.Duration(1+m.rng.IntN(20))*time.Hour) }},
	{"restart", 4, (*model).restart},
	{"crash", 4, func(m *model) {
		m.fs = crashAndClose(m.t, m.fs, m.e, m.rng)
		m.open()
	}},
}

func newModel(t *testing.T, seed uint64) *model {
	rng := rand.New(rand.NewPCG(seed, 9))
	m := &model{
		t: t, rng: rng, actor: newActor(0, false, rng), fs: vfs.NewCrashableMem(),
		rows: make(contents), expired: make(map[string]bool), periods: make(map[string]time.Duration),
	}
	m.open()
	return m
}

func (m *model) open() { m.e = open(m.t, m.fs, m.clock.option) }

func (m *model) close() {
	m.merges += len(m.e.Compactions())
	closeEngine(m.t, m.e)
}

func (m *model) restart() {
	m.close()
	m.open()
}

func (m *model) run() {
	total := 0
	for _, x := range modelActions {
		total += x.weight
	}
	for step := range modelSteps {
		k, i := m.rng.IntN(total), 0
		for ; k >= modelActions[i].weight; i++ {
			k -= modelActions[i].weight
		}
		modelActions[i].do(m)
		m.compare(fmt.Sprintf("step %d, %s", step, modelActions[i].name))
	}
	flush(m.t, m.e)
	compact(m.t, m.e)
	m.compare("in the end")
	m.close()
	checkSound(m.t, m.fs)
	m.t.Logf("figures: steps=%d merges=%d cuts=%d rows_gone_by_age=%d", modelSteps, m.merges, m.cuts, m.removed)
}

func (m *model) drawTable() string { return fmt.Sprint("t", m.rng.IntN(3)) }

// tableOf is the table of a point.
func tableOf(key string) string { return key[:strings.IndexAny(key, ", ")] }

// floor is the first instant that a table keeps.
func (m *model) floor(table string) int64 {
	period := m.period
	if own, ok := m.periods[table]; ok {
		period = own
	}
	if period == 0 {
		return -1 << 63
	}
	return m.clock.now().Add(-period).UnixNano()
}

// drawAge draws how old a row is: few enough that rows meet, in five days.
func (m *model) drawAge() time.Duration {
	return time.Duration(m.rng.IntN(40))*3*time.Hour + time.Duration(m.rng.IntN(3))
}

func (m *model) write() {
	var lines []string
	old := 0
	for range 1 + m.rng.IntN(12) {
		r := m.actor.newRow(m.drawTable())
		r.ns = m.clock.now().Add(-m.drawAge()).UnixNano()
		lines = append(lines, r.line())
		if r.ns < m.floor(tableOf(r.series)) {
			old++
			continue
		}
		m.rows.merge(r.series+" "+fmt.Sprint(r.ns), r.fields)
	}
	if r := write(m.t, m.e, lines...); r.Expired != old || r.Accepted != len(lines)-old {
		m.t.Fatalf("of %d rows, %d of them expired: %+v", len(lines), old, r)
	}
}

func (m *model) deleteRows() {
	spec := engine.DeleteSpec{Database: "db", Time: m.actor.drawTime()}
	if m.rng.IntN(2) == 0 {
		spec.Tables = []string{m.drawTable()}
	}
	if spec.Time.Min > -1<<62 { // it drew days of 1970
		spec.Time.Min = m.clock.now().Add(-m.drawAge()).UnixNano()
		spec.Time.Max = spec.Time.Min + m.rng.Int64N(2*day)
	}
	if m.rng.IntN(5) > 0 {
		spec.Where = m.actor.drawPredicate()
	}
	err := m.e.DeleteRows(context.Background(), spec)
	if m.isMissing(err) {
		return
	}
	if err != nil {
		m.t.Fatalf("DeleteRows(%+v): %v", spec, err)
	}
	maps.DeleteFunc(m.rows, func(key string, _ map[string]any) bool { return isDeleted(spec, key) })
}

// isMissing reports whether an error says that there is no such table or database.
func (m *model) isMissing(err error) bool {
	var missing *engine.TableNotFoundError
	return errors.As(err, &missing) || errors.Is(err, engine.ErrDatabaseNotFound)
}

func (m *model) cut() {
	n, err := m.e.CutFiles(context.Background())
	must(m.t, err)
	m.cuts += n
}

func (m *model) deleteTable() {
	table := m.drawTable()
	err := m.e.DeleteTable("db", table, m.actor.purgeTime())
	rest, wasThere := m.rows.without(table + ",")
	if err != nil && (wasThere || !m.isMissing(err)) {
		m.t.Fatalf("DeleteTable: %v", err)
	}
	m.rows = rest
	delete(m.periods, table)
}

func (m *model) deleteDatabase() {
	if err := m.e.DeleteDatabase("db", m.actor.purgeTime()); err != nil && (len(m.rows) > 0 || !m.isMissing(err)) {
		m.t.Fatalf("DeleteDatabase: %v", err)
	}
	m.rows, m.periods, m.period = make(contents), make(map[string]time.Duration), 0
}

// drawPeriod draws a period, most of them shorter than the ages of rows.
func (m *model) drawPeriod() time.Duration {
	return []time.Duration{0, 24 * time.Hour, 48 * time.Hour, 96 * time.Hour, 2400 * time.Hour}[m.rng.IntN(5)]
}

func (m *model) setRetention() {
	d := m.drawPeriod()
	err := m.e.SetRetention("db", d)
	if m.isMissing(err) {
		return
	}
	must(m.t, err)
	m.period = d
}

func (m *model) setTableRetention() {
	table, d := m.drawTable(), m.drawPeriod()
	err := m.e.SetTableRetention("db", table, d)
	if m.isMissing(err) {
		return
	}
	must(m.t, err)
	if m.periods[table] = d; d == 0 {
		delete(m.periods, table)
	}
}

// compare reads everything. What has expired may be gone, and when a longer period shows it again,
// each value of it is the last that was written, or none.
func (m *model) compare(when string) {
	m.t.Helper()
	got := make(contents)
	if _, ok := m.e.Schema().Database("db"); ok {
		got = read(m.t, m.e, m.fs, "db")
	}
	want := make(contents)
	for key, fields := range m.rows {
		if timeOf(key) < m.floor(tableOf(key)) {
			m.expired[key] = true
			continue
		}
		if m.expired[key] {
			fields = m.afterExpiry(when, key, got[key])
		}
		if fields != nil {
			want[key] = fields
		}
	}
	if !reflect.DeepEqual(want, got) {
		m.t.Fatalf("%s: %s", when, difference(want, got))
	}
	if len(want) == 0 {
		return
	}
	rows := newest(m.t, m.e, "db") // of which queries leave out what has expired
	maps.DeleteFunc(rows, func(key string, _ map[string]any) bool { return timeOf(key) < m.floor(tableOf(key)) })
	if d := cmp.Diff(want.newestOf(), rows); d != "" {
		m.t.Fatalf("%s: newest rows (-want +got)\n%s", when, d)
	}
}

// afterExpiry settles what is left of a point that had expired and is within a longer period now.
func (m *model) afterExpiry(when, key string, got map[string]any) map[string]any {
	m.t.Helper()
	for name, value := range got {
		if m.rows[key][name] != value {
			m.t.Fatalf("%s: a longer period shows %s of %s as %v, last was %v", when, name, key, value, m.rows[key][name])
		}
	}
	delete(m.expired, key)
	if got == nil {
		delete(m.rows, key)
		m.removed++
		return nil
	}
	m.rows[key] = got
	return got
}
