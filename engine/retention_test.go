package engine_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// ago is a point of a table that was so long before noon.
func ago(table string, d time.Duration, fields string) string {
	return fmt.Sprintf("%s %s %d", table, fields, noon.Add(-d).UnixNano())
}

// expectFiles fails unless so many Parquet files are on the disk.
func expectFiles(t testing.TB, fs vfs.FS, want int, when string) {
	t.Helper()
	if files := parquetFiles(t, fs); len(files) != want {
		t.Fatalf("%s there are %d files, want %d: %v", when, len(files), want, files)
	}
}

func TestExpiredFilesGoWhenNobodyReadsThem(t *testing.T) {
	fs, clock := vfs.NewMem(), &handClock{}
	e := open(t, fs, clock.option)
	defer closeEngine(t, e)
	for _, d := range []time.Duration{72 * time.Hour, 48 * time.Hour, time.Hour} {
		write(t, e, ago("m", d, "f=1"), ago("other", d, "f=1"))
		flush(t, e)
	}
	must(t, e.SetTableRetention("db", "m", 24*time.Hour))
	v, err := e.View(context.Background(), "db", []string{"m"})
	must(t, err)
	e.PurgeDue()
	expectFiles(t, fs, 6, "while a view has them")
	v.Close()
	expectFiles(t, fs, 4, "when the view has ended")
	want := contents{}
	for _, d := range []time.Duration{72 * time.Hour, 48 * time.Hour, time.Hour} {
		want[fmt.Sprint("other ", noon.Add(-d).UnixNano())] = map[string]any{"f": 1.0}
	}
	want[fmt.Sprint("m ", noon.Add(-time.Hour).UnixNano())] = map[string]any{"f": 1.0}
	expect(t, e, fs, want)

	must(t, e.SetRetention("db", 60*time.Hour)) // of the other table only
	e.PurgeDue()
	expectFiles(t, fs, 3, "after the database has a period")
	clock.pass(e, 24*time.Hour)
	expectFiles(t, fs, 1, "a day later")
	must(t, e.SetTableRetention("db", "m", 0)) // as the database
	must(t, e.SetRetention("db", 0))
	expect(t, e, fs, contents{fmt.Sprint("other ", noon.Add(-time.Hour).UnixNano()): {"f": 1.0}})
}

// TestALongerPeriodShowsNoOlderValue: a file that hides a value of another goes with it only.
func TestALongerPeriodShowsNoOlderValue(t *testing.T) {
	fs, clock := vfs.NewMem(), &handClock{}
	e := open(t, fs, clock.option)
	defer closeEngine(t, e)
	write(t, e, ago("m", 72*time.Hour, "f=1"), ago("m", time.Hour, "f=1"))
	flush(t, e)
	write(t, e, ago("m", 72*time.Hour, "f=2"))
	flush(t, e)
	must(t, e.SetRetention("db", 24*time.Hour))
	e.PurgeDue()
	expectFiles(t, fs, 2, "while the older file stays")
	expect(t, e, fs, contents{fmt.Sprint("m ", noon.Add(-time.Hour).UnixNano()): {"f": 1.0}})
	must(t, e.SetRetention("db", 0))
	expect(t, e, fs, contents{
		fmt.Sprint("m ", noon.Add(-time.Hour).UnixNano()):    {"f": 1.0},
		fmt.Sprint("m ", noon.Add(-72*time.Hour).UnixNano()): {"f": 2.0},
	})
	must(t, e.SetRetention("db", 24*time.Hour))
	clock.pass(e, 24*time.Hour)
	expectFiles(t, fs, 0, "when the older file has expired, too")
}

// TestAClockThatJumpsRemovesNoRowEarly shows E10 for retention periods, also for a jump while
// the engine is closed.
func TestAClockThatJumpsRemovesNoRowEarly(t *testing.T) {
	for name, jump := range jumps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const period = 96 * time.Hour
			fs, clock := vfs.NewMem(), &handClock{}
			e := open(t, fs, clock.option)
			write(t, e, ago("m", 0, "f=1"))
			flush(t, e)
			must(t, e.SetRetention("db", period))
			clock.pass(e, time.Hour)
			if len(name)%2 == 0 { // some of them
				closeEngine(t, e)
				clock.jump(jump)
				e = open(t, fs, clock.option)
			} else {
				clock.jump(jump)
			}
			defer func() { closeEngine(t, e) }()
			want := contents{fmt.Sprint("m ", noon.UnixNano()): {"f": 1.0}}
			clock.pass(e, 70*time.Hour)
			expectFiles(t, fs, 1, "before its time")
			expect(t, e, fs, want)
			clock.jump(0)
			clock.pass(e, time.Hour)
			expect(t, e, fs, want)
			clock.pass(e, period)
			expectFiles(t, fs, 0, "after its time")
			expect(t, e, fs, contents{})
		})
	}
}

// TestNewestRowsOutliveExpiredFiles: what is kept of them is right after files have gone, and after a
// longer period.
func TestNewestRowsOutliveExpiredFiles(t *testing.T) {
	fs, clock := vfs.NewMem(), &handClock{}
	e := open(t, fs, clock.option)
	defer closeEngine(t, e)
	write(t, e, ago("m,k=old", 72*time.Hour, "f=1"), ago("m,k=young", 71*time.Hour, "f=1"))
	flush(t, e)
	write(t, e, ago("m,k=old", 80*time.Hour, "f=1"), ago("m,k=young", time.Hour, "f=1"))
	flush(t, e)
	newest := func() (times []time.Duration) {
		t.Helper()
		v, err := e.View(context.Background(), "db", []string{"m"})
		must(t, err)
		defer v.Close()
		s, err := v.Tables[0].Newest(context.Background())
		must(t, err)
		for _, chunk := range s.Chunks {
			for _, at := range chunk.Time[:chunk.Rows] {
				if v.Tables[0].Kept().Contains(at) {
					times = append(times, noon.Sub(time.Unix(0, at)))
				}
			}
		}
		slices.Sort(times)
		return times
	}
	for _, step := range []struct {
		period time.Duration
		want   []time.Duration
	}{
		{0, []time.Duration{time.Hour, 72 * time.Hour}},
		{24 * time.Hour, []time.Duration{time.Hour}},
		{0, []time.Duration{time.Hour, 80 * time.Hour}}, // the first file is gone
		{90 * time.Hour, []time.Duration{time.Hour, 80 * time.Hour}},
	} {
		must(t, e.SetRetention("db", step.period))
		e.PurgeDue()
		if got := newest(); !slices.Equal(got, step.want) {
			t.Errorf("with a period of %s the newest rows are %s old, want %s", step.period, got, step.want)
		}
	}
}

// TestRetentionIsThatOfAModel lets a clock go on, and periods change, under random writes, flushes,
// merges, purges and restarts. All that is within the period is there, nothing else, and never an older
// value of a point, nor an older version of a record, even where a longer period shows what has not been removed yet.
func TestRetentionIsThatOfAModel(t *testing.T) {
	for n := range uint64(16) {
		seed := *seedFlag + n
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			newRetentionModel(t, seed, n%4 == 3).run(60)
		})
	}
}

// retentionModel is an engine and what it must hold.
type retentionModel struct {
	t       *testing.T
	rng     *rand.Rand
	fs      *vfs.MemFS
	clock   handClock
	e       *engine.Engine
	rows    contents
	period  [2]time.Duration // of the database and of the table
	removed int64            // rows from here on are there for certain
	count   int64
	// versions says that the rows of a series are versions, of which the newest counts.
	versions bool
}

func newRetentionModel(t *testing.T, seed uint64, versions bool) *retentionModel {
	m := &retentionModel{t: t, rng: rand.New(rand.NewPCG(seed, 5)), fs: vfs.NewMem(), rows: contents{}, removed: -1 << 63, versions: versions}
	m.e = open(t, m.fs, m.clock.option)
	if versions {
		must(t, m.e.CreateTable("db", engine.TableSpec{
			Name: "m", Key: schema.TableKey{Rule: schema.LatestByTag, Tag: "k"}, Columns: []engine.ColumnSpec{{Name: "k", Type: schema.Tag}},
		}))
	}
	write(t, m.e, "m,k=0 a=0i,b=0i "+fmt.Sprint(noon.UnixNano()))
	m.rows.merge(fmt.Sprint("m,k=0 ", noon.UnixNano()), map[string]any{"a": int64(0), "b": int64(0)})
	return m
}

// lateVersion bounds how late versions are written.
const lateVersion = 60 * time.Hour

func (m *retentionModel) floor() int64 {
	period := m.period[1]
	if period == 0 {
		period = m.period[0]
	}
	if period == 0 {
		return -1 << 63
	}
	return m.clock.now().Add(-period).UnixNano()
}

func (m *retentionModel) run(steps int) {
	for range steps {
		m.step()
		m.check()
	}
	closeEngine(m.t, m.e)
	checkSound(m.t, m.fs)
}

func (m *retentionModel) step() {
	m.t.Helper()
	switch n := m.rng.IntN(20); {
	case n < 8:
		m.write()
	case n < 12:
		flush(m.t, m.e)
	case n < 13:
		_, err := m.e.Compact(context.Background(), engine.CompactOptions{})
		must(m.t, err)
	case n < 15:
		m.clock.set(time.Duration(m.clock.after.Load()) + time.Duration(m.rng.IntN(30))*time.Hour)
	case n < 17:
		m.setPeriod()
	case n < 19:
		m.e.PurgeDue()
	default:
		closeEngine(m.t, m.e)
		m.e = open(m.t, m.fs, m.clock.option)
	}
}

func (m *retentionModel) setPeriod() {
	i := m.rng.IntN(2)
	period := []time.Duration{0, 24 * time.Hour, 72 * time.Hour, 24 * 9 * time.Hour}[m.rng.IntN(4)]
	if m.versions && period > 0 { // who writes an old version when later ones have gone sees it
		period = max(period, lateVersion)
	}
	if i == 0 {
		must(m.t, m.e.SetRetention("db", period))
	} else {
		must(m.t, m.e.SetTableRetention("db", "m", period))
	}
	m.period[i] = period
}

func (m *retentionModel) write() {
	m.t.Helper()
	var lines []string
	expired := 0
	for range 1 + m.rng.IntN(6) {
		m.count++
		at := m.clock.now().Add(-time.Duration(m.rng.IntN(12*24/6)) * 6 * time.Hour).UnixNano()
		if m.versions {
			at = m.clock.now().Add(-time.Duration(m.rng.Int64N(int64(lateVersion)))).UnixNano()
		} else if m.rng.IntN(3) > 0 {
			at = m.clock.now().Add(-time.Duration(m.rng.IntN(30)) * time.Hour).UnixNano()
		}
		field := []string{"a", "b"}[m.rng.IntN(2)]
		series := fmt.Sprintf("m,k=%d", m.rng.IntN(2))
		lines = append(lines, fmt.Sprintf("%s %s=%di %d", series, field, m.count, at))
		if at < m.floor() {
			expired++
			continue
		}
		m.rows.merge(fmt.Sprintf("%s %d", series, at), map[string]any{field: m.count})
	}
	r, err := m.e.Write(context.Background(), request(lines...))
	if err != nil || r.Expired != expired {
		m.t.Fatal(err, r)
	}
}

func (m *retentionModel) check() {
	m.t.Helper()
	got, floor := read(m.t, m.e, m.fs, "db"), m.floor()
	m.removed = max(m.removed, floor) // perhaps: the engine purges by itself, too
	for key, fields := range got {
		if timeOf(key) < floor {
			m.t.Fatalf("%s has expired", key)
		}
		for name, value := range fields {
			if m.rows[key][name] != value {
				m.t.Fatalf("%s has %s=%v, written was %v", key, name, value, m.rows[key])
			}
		}
	}
	rows := m.rows
	if m.versions {
		m.checkVersions(got, floor)
		rows = rows.newestOf()
	}
	for key, fields := range rows {
		if timeOf(key) >= m.removed && !maps.Equal(got[key], fields) {
			m.t.Fatalf("%s is %v, want %v", key, got[key], fields)
		}
	}
}

// checkVersions fails if an older version is the newest one that is left of a record.
func (m *retentionModel) checkVersions(got contents, floor int64) {
	m.t.Helper()
	written := make(map[string]int64)
	for key := range m.rows {
		series, _, _ := strings.Cut(key, " ")
		if at := timeOf(key); at >= floor {
			written[series] = max(written[series], at)
		}
	}
	for key := range got.newestOf() {
		series, _, _ := strings.Cut(key, " ")
		if timeOf(key) != written[series] {
			m.t.Fatalf("%s is the newest version, written was one at %d", key, written[series])
		}
	}
}

// counted returns a counter of the engine's metrics.
func counted(t testing.TB, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// TestCompactionsTrimFiles: of a file that covers months what has expired goes, and nothing comes back with a
// longer period.
func TestCompactionsTrimFiles(t *testing.T) {
	fs, clock := vfs.NewMem(), &handClock{}
	registry := prometheus.NewRegistry()
	e := open(t, fs, clock.option, func(o *engine.Options) { o.Registerer = registry })
	defer func() { closeEngine(t, e) }()
	var lines []string
	want := contents{}
	for day := range 100 {
		at := time.Duration(day) * 24 * time.Hour
		lines = append(lines, ago("m", at, "f=1"))
		if day < 10 {
			want[fmt.Sprint("m ", noon.Add(-at).UnixNano())] = map[string]any{"f": 1.0}
		}
	}
	write(t, e, lines...)
	flush(t, e)
	write(t, e, ago("m", 99*24*time.Hour, "f=2")) // lies before the other file, in its way
	flush(t, e)
	const period = 9*24*time.Hour + time.Hour
	all, err := e.Expired(engine.ExpiredOptions{Database: "db", Period: period})
	must(t, err)
	if len(all) != 1 || all[0].Files != 0 || all[0].Partly != 2 || all[0].Trimmed != 2 {
		t.Errorf("in advance: %+v", all)
	}
	must(t, e.SetTableRetention("db", "m", period))
	e.PurgeDue()
	expectFiles(t, fs, 2, "before a compaction")
	clock.jump(1000 * 24 * time.Hour) // is not believed
	clock.set(time.Minute)
	e.CompactDue()
	e.PurgeDue()
	clock.jump(0)
	must(t, e.SetTableRetention("db", "m", 0))
	if got := counted(t, registry, "siltstone_expired_rows_total"); got != 91 {
		t.Errorf("%v of 101 rows are said to have expired, not 91", got)
	}
	if got := read(t, e, fs, "db"); !maps.EqualFunc(got, want, maps.Equal) {
		t.Errorf("after a compaction there are %d rows: %v", len(got), got)
	}
	expectFiles(t, fs, 1, "after a compaction")
	closeEngine(t, e)
	checkSound(t, fs)
	e = open(t, fs, clock.option)
	expect(t, e, fs, want)
	if _, err := e.Compact(context.Background(), engine.CompactOptions{}); err != nil {
		t.Error(err)
	}
	if again := e.Compactions(); len(again) > 0 {
		t.Errorf("files are written again without need: %+v", again)
	}
}

// TestExpiredTellsWhatGoes before it goes, and what another period would do.
func TestExpiredTellsWhatGoes(t *testing.T) {
	fs, clock := vfs.NewMem(), &handClock{}
	e := open(t, fs, clock.option)
	defer closeEngine(t, e)
	for _, d := range []time.Duration{72 * time.Hour, 48 * time.Hour, time.Hour} {
		write(t, e, ago("m", d, "f=1"), ago("own", d, "f=1"))
		flush(t, e)
	}
	must(t, e.SetTableRetention("db", "own", 365*24*time.Hour))
	for _, test := range []struct {
		opts engine.ExpiredOptions
		want []string
	}{
		{engine.ExpiredOptions{}, []string{"own 365d 0 files, 0 rows"}},
		{engine.ExpiredOptions{Database: "db", Period: 60 * time.Hour}, []string{"m 60h 1 files, 1 rows", "own 365d 0 files, 0 rows"}},
		{engine.ExpiredOptions{Database: "db", Table: "own", Period: 24 * time.Hour}, []string{"own 1d 2 files, 2 rows"}},
	} {
		all, err := e.Expired(test.opts)
		must(t, err)
		var got []string
		for _, x := range all {
			got = append(got, fmt.Sprintf("%s %s %d files, %d rows", x.Table, x.PeriodWords(), x.Files, x.Rows))
			if x.Files > 0 && !x.Oldest.Equal(noon.Add(-72*time.Hour)) {
				t.Errorf("the oldest row of %s is of %s", x.Table, x.Oldest)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v: %q, want %q", test.opts, got, test.want)
		}
	}
	if _, err := e.Expired(engine.ExpiredOptions{Database: "nobody"}); !isNotFound(err) {
		t.Errorf("a database that does not exist: %v", err)
	}
}
