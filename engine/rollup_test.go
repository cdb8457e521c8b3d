package engine_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/cockroachdb/pebble/v2/vfs"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

var rollupsFlag = flag.Int("rollups", 6, "how many random histories TestRollupsAreWhatTheirSourceSays runs, beginning with -seed")

// plainAggregator computes rollups row by row.
type plainAggregator struct {
	t  testing.TB
	fs vfs.FS
	// before is called in front of each computation; nil is not.
	before func()
}

func (a plainAggregator) Aggregate(_ context.Context, job engine.RollupJob) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) {
		if a.before != nil {
			a.before()
		}
		yield(recordOf(job.Rollup, aggregate(readView(a.t, a.fs, job.Source), job.Rollup, job.Ranges)), nil)
	}
}

// readView returns the rows of a table in a view, also of a rollup's source.
func readView(t testing.TB, fs vfs.FS, tv *engine.TableView) contents {
	t.Helper()
	rows := make(contents)
	for _, f := range tv.Files {
		readFile(t, rows, tv.Table, fs, f.Path, f.Hidden)
	}
	for _, s := range tv.Buffers {
		readBuffer(rows, tv.Table, s)
	}
	return rows
}

// readRollup returns the rows of a rollup as a query is to see them.
func readRollup(t testing.TB, fs vfs.FS, tv *engine.TableView) contents {
	t.Helper()
	stale := func(key string, _ map[string]any) bool { return holds(tv.Rollup.Stale, timeOf(key)) }
	rows := readView(t, fs, tv)
	maps.DeleteFunc(rows, stale)
	maps.Copy(rows, aggregate(readView(t, fs, tv.Rollup.Source), tv.Table, tv.Rollup.Stale))
	maps.DeleteFunc(rows, func(key string, _ map[string]any) bool { return !tv.Kept().Contains(timeOf(key)) })
	return rows
}

func holds(ranges []schema.TimeRange, ns int64) bool {
	return slices.ContainsFunc(ranges, func(r schema.TimeRange) bool { return r.Contains(ns) })
}

// tagsOf takes the tags of a point apart.
func tagsOf(key string) map[string]string {
	tags := make(map[string]string)
	for _, pair := range strings.Split(key[:strings.LastIndexByte(key, ' ')], ",")[1:] {
		k, v, _ := strings.Cut(pair, "=")
		tags[k] = v
	}
	return tags
}

// timed is a value and its time.
type timed struct {
	ns int64
	v  any
}

func compareValues(a, b any) int {
	switch a := a.(type) {
	case float64:
		return cmp.Compare(a, b.(float64))
	case int64:
		return cmp.Compare(a, b.(int64))
	case string:
		return cmp.Compare(a, b.(string))
	}
	return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) // false comes before true
}

// aggregate is what a rollup has of rows in some ranges. Sums are of floats.
func aggregate(rows contents, rollup *schema.Table, ranges []schema.TimeRange) contents {
	values, all := make(map[string]map[string][]timed), make(contents)
	for key, fields := range rows {
		ns := timeOf(key)
		if !holds(ranges, ns) {
			continue
		}
		tags := tagsOf(key)
		maps.DeleteFunc(tags, func(k, _ string) bool { c, ok := rollup.Column(k); return !ok || c.Type != schema.Tag })
		one := make(contents)
		one.put(rollup, tags, rollup.Rollup.Start(ns), nil)
		for group := range one {
			if values[group] == nil {
				values[group] = make(map[string][]timed)
				all[group] = make(map[string]any)
			}
			for name, v := range fields {
				values[group][name] = append(values[group][name], timed{ns, v})
			}
		}
	}
	for group, fields := range values {
		for _, a := range rollup.Rollup.Aggregates {
			if v := aggregateOf(a.Func, fields[a.Field]); v != nil {
				all[group][a.Name] = v
			}
		}
	}
	return all
}

func aggregateOf(f schema.AggregateFunc, values []timed) any {
	if f == schema.Count {
		return int64(len(values))
	}
	if len(values) == 0 {
		return nil
	}
	byTime := func(a, b timed) int { return cmp.Or(cmp.Compare(a.ns, b.ns), compareValues(a.v, b.v)) }
	byValue := func(a, b timed) int { return compareValues(a.v, b.v) }
	sum := 0.0
	for _, v := range values {
		number, _ := v.v.(float64)
		sum += number
	}
	switch f {
	case schema.Sum:
		return sum
	case schema.Mean:
		return sum / float64(len(values))
	case schema.Min:
		return slices.MinFunc(values, byValue).v
	case schema.Max:
		return slices.MaxFunc(values, byValue).v
	case schema.First:
		return slices.MinFunc(values, byTime).v
	}
	return slices.MaxFunc(values, byTime).v
}

// recordOf writes rows of a table as an aggregator gives them, with tags as plain strings.
func recordOf(table *schema.Table, rows contents) arrow.RecordBatch {
	layout := persist.ArrowSchema(table.Columns)
	fields := slices.Clone(layout.Fields())
	tags := 0
	for i := range fields {
		if fields[i].Type.ID() == arrow.DICTIONARY {
			fields[i].Type = arrow.BinaryTypes.String
			tags++
		}
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	keys := slices.SortedFunc(maps.Keys(rows), func(x, y string) int {
		a, b := tagsOf(x), tagsOf(y)
		for _, f := range fields[:tags] {
			if c := cmp.Compare(a[f.Name], b[f.Name]); c != 0 {
				return c
			}
		}
		return cmp.Compare(timeOf(x), timeOf(y))
	})
	for _, key := range keys {
		of := tagsOf(key)
		for i, f := range fields {
			switch into := b.Field(i).(type) {
			case *array.StringBuilder:
				v, ok := of[f.Name]
				if i >= tags {
					appendValue(into, rows[key][f.Name])
				} else if ok {
					into.Append(v)
				} else {
					into.AppendNull()
				}
			case *array.TimestampBuilder:
				into.Append(arrow.Timestamp(timeOf(key)))
			default:
				appendValue(into, rows[key][f.Name])
			}
		}
	}
	return b.NewRecordBatch()
}

func appendValue(b array.Builder, v any) {
	switch v := v.(type) {
	case int64:
		b.(*array.Int64Builder).Append(v)
	case float64:
		b.(*array.Float64Builder).Append(v)
	case string:
		b.(*array.StringBuilder).Append(v)
	case bool:
		b.(*array.BooleanBuilder).Append(v)
	default:
		b.AppendNull()
	}
}

// checkRollup fails unless the rows of a rollup in a view are what those of its source in the view say, but for those that
// are frozen.
func checkRollup(t testing.TB, fs vfs.FS, tv *engine.TableView) {
	t.Helper()
	isOther := func(key string, _ map[string]any) bool {
		return timeOf(key) < tv.Rollup.FrozenBefore || !tv.Kept().Contains(timeOf(key))
	}
	want := aggregate(readView(t, fs, tv.Rollup.Source), tv.Table, []schema.TimeRange{schema.MaxTimeRange})
	got := readRollup(t, fs, tv)
	maps.DeleteFunc(want, isOther)
	maps.DeleteFunc(got, isOther)
	if d := gocmp.Diff(want, got); d != "" {
		t.Fatalf("rollup %s (-want +got)\n%s", tv.Table.Name, d)
	}
}

// rollUp makes a rollup of a table of its own, or refreshes it.
func (a *actor) rollUp(e *engine.Engine) error {
	err := e.RefreshWith(context.Background(), a.database(), "rollup", plainAggregator{t: panicking{}, fs: e.FS()})
	var missing *engine.TableNotFoundError
	if err == nil || !errors.As(err, &missing) && !errors.Is(err, engine.ErrDatabaseNotFound) {
		return err
	}
	spec := engine.RollupSpec{Database: a.database(), Name: "rollup", Source: "t0", Interval: 12 * time.Hour}
	db, ok := e.Schema().Database(a.database())
	source, has := (*schema.Table)(nil), false
	if ok {
		source, has = db.Table("t0")
	}
	if !has {
		return nil
	}
	for _, c := range source.Columns {
		for _, f := range []schema.AggregateFunc{schema.Count, schema.Max, schema.Last} {
			if c.Type != schema.Tag {
				spec.Aggregates = append(spec.Aggregates, schema.Aggregate{Func: f, Field: c.Name, Name: c.Name + "_" + f.String()})
			}
		}
	}
	_, err = e.CreateRollup(spec)
	return err
}

// dropRollup makes way for the deletion of t0.
func (a *actor) dropRollup(e *engine.Engine, database string) error {
	err := e.DropRollup(database, "rollup")
	var missing *engine.TableNotFoundError
	if errors.As(err, &missing) || errors.Is(err, engine.ErrDatabaseNotFound) {
		return nil
	}
	return err
}

// panicking makes an error of what a test would end for: whoever writes files takes panics for errors.
type panicking struct{ testing.TB }

func (panicking) Helper() {}

func (panicking) Fatalf(format string, args ...any) { panic(fmt.Errorf(format, args...)) }

// rollupSpec has every aggregate of field f, and two of g.
func rollupSpec(name string, interval time.Duration, tags ...string) engine.RollupSpec {
	spec := engine.RollupSpec{Database: "db", Name: name, Source: "m", Interval: interval, Tags: tags}
	for _, f := range schema.AggregateFuncs {
		spec.Aggregates = append(spec.Aggregates, schema.Aggregate{Func: f, Field: "f", Name: "f_" + f.String()})
	}
	spec.Aggregates = append(spec.Aggregates,
		schema.Aggregate{Func: schema.Max, Field: "g", Name: "g_max"}, schema.Aggregate{Func: schema.Count, Field: "g", Name: "g_count"})
	return spec
}

func createRollup(t testing.TB, e *engine.Engine, spec engine.RollupSpec) *schema.Table {
	t.Helper()
	def, err := e.CreateRollup(spec)
	must(t, err)
	return def
}

// expectRollup compares a rollup with what its source says, all of which is there.
func expectRollup(t testing.TB, e *engine.Engine, fs vfs.FS, name, when string) {
	t.Helper()
	v, err := e.View(context.Background(), "db", []string{name})
	must(t, err)
	defer v.Close()
	t.Log(when)
	checkRollup(t, fs, v.Tables[0])
}

// expectStale fails unless so much of a rollup is stale.
func expectStale(t testing.TB, e *engine.Engine, when string, want ...schema.TimeRange) {
	t.Helper()
	infos, err := e.Rollups("db")
	must(t, err)
	if d := gocmp.Diff(want, infos[0].Stale); d != "" {
		t.Fatalf("%s: stale ranges (-want +got)\n%s", when, d)
	}
}

func minutes(from, to int64) schema.TimeRange {
	return schema.TimeRange{Min: from * int64(time.Minute), Max: to*int64(time.Minute) - 1}
}

func TestARollupIsExactInEveryStateOfItsSource(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	e.ServeRollups(plainAggregator{t: t, fs: fs})
	minute := int64(time.Minute)
	write(t, e, fmt.Sprintf("m,host=a f=1,g=2 %d", minute), fmt.Sprintf("m,host=b f=3 %d", 7*minute))
	createRollup(t, e, rollupSpec("r", 5*time.Minute))
	refresh := func() { must(t, e.RefreshRollup(context.Background(), "db", "r", nil)) }
	refresh()
	expectRollup(t, e, fs, "r", "after the first refresh")
	expectStale(t, e, "with buffered rows", minutes(0, 10))
	flush(t, e)
	expectRollup(t, e, fs, "r", "after the flush")
	refresh()
	expectRollup(t, e, fs, "r", "after the refresh")
	expectStale(t, e, "after the refresh")

	write(t, e, fmt.Sprintf("m,host=a f=10 %d", 2*minute))
	expectRollup(t, e, fs, "r", "after a late write")
	expectStale(t, e, "after a late write", minutes(0, 5))
	deleteRows(t, e, contents{}, engine.DeleteSpec{
		Database: "db", Tables: []string{"m"}, Time: minutes(7, 8), Where: &schema.Predicate{Op: schema.Equal, Tag: "host", Text: "b"},
	})
	expectRollup(t, e, fs, "r", "after a deletion")
	refresh()
	expectStale(t, e, "after the last refresh", minutes(0, 5)) // the late row is in a buffer
	expectRollup(t, e, fs, "r", "after the refresh behind the deletion")
	write(t, e, fmt.Sprintf("m,host=c,rack=x f=1 %d", 20*minute))
	expectRollup(t, e, fs, "r", "after a new tag")
	flush(t, e)
	refresh()
	expectRollup(t, e, fs, "r", "after its refresh")
	v, err := e.View(context.Background(), "db", []string{"r"})
	must(t, err)
	defer v.Close()
	if _, ok := v.Tables[0].Table.Column("rack"); !ok {
		t.Error("the rollup has no tag rack")
	}
}

// TestWhatIsWrittenDuringARefreshStaysStale: the computation does not know of it.
func TestWhatIsWrittenDuringARefreshStaysStale(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	write(t, e, "m,host=a f=1,g=1 1", "m,host=b f=1 2")
	flush(t, e)
	createRollup(t, e, rollupSpec("r", time.Minute))
	once := true
	e.ServeRollups(plainAggregator{t: t, fs: fs, before: func() {
		if once {
			once = false
			write(t, e, "m,host=a f=2 3")
			must(t, e.DeleteRows(context.Background(), engine.DeleteSpec{
				Database: "db", Time: schema.MaxTimeRange, Where: &schema.Predicate{Op: schema.Equal, Tag: "host", Text: "b"},
			}))
			flush(t, e)
		}
	}})
	for range 3 {
		must(t, e.RefreshRollup(context.Background(), "db", "r", nil))
		expectRollup(t, e, fs, "r", "after a refresh")
	}
	expectStale(t, e, "in the end")
}

func TestRollupsAreReadOnlyAndNamed(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	write(t, e, `m,host=a f=1,g=1,text="x" 1`)
	createRollup(t, e, rollupSpec("r", time.Minute))
	result, err := e.Write(context.Background(), request("r,host=a f_max=1 1", "m,host=a f=2 2", "r new=1 2"))
	must(t, err)
	if result.Rejected != 2 || result.Accepted != 1 || !strings.Contains(result.Errors[0].Message, "'r' is a rollup") {
		t.Errorf("a write to a rollup: %+v", result)
	}
	var derived *engine.RollupRowsError
	if err := e.DeleteRows(context.Background(), engine.DeleteSpec{Database: "db", Tables: []string{"r"}, Time: schema.MaxTimeRange}); !errors.As(err, &derived) {
		t.Errorf("a deletion of rows of a rollup: %v", err)
	}
	if err := e.DeleteTable("db", "m", time.Time{}); !errors.Is(err, engine.ErrHasRollups) {
		t.Errorf("a deletion of the source: %v", err)
	}
	for what, change := range map[string]func(*engine.RollupSpec){
		`no field "host"`:   func(s *engine.RollupSpec) { s.Aggregates[0].Field = "host" },
		`no mean of field`:  func(s *engine.RollupSpec) { s.Aggregates[4].Field = "text" },
		`neither divides`:   func(s *engine.RollupSpec) { s.Interval = 0 },
		`no tag "f"`:        func(s *engine.RollupSpec) { s.Tags = []string{"f"} },
		`a rollup itself`:   func(s *engine.RollupSpec) { s.Source = "r" },
		`are called "host"`: func(s *engine.RollupSpec) { s.Aggregates[0].Name = "host" },
	} {
		spec := rollupSpec("s", time.Minute)
		change(&spec)
		if _, err := e.CreateRollup(spec); !errors.Is(err, engine.ErrRollup) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := e.CreateRollup(rollupSpec("m", time.Minute)); !errors.Is(err, engine.ErrExists) {
		t.Errorf("one with the name of a table: %v", err)
	}
	must(t, e.DropRollup("db", "r"))
	must(t, e.DeleteTable("db", "m", time.Unix(0, 1)))
	checkSoundEngine(t, e)
}

// TestFrozenRowsOfARollupAreDeletedByName: nothing else says what they are. Those that follow from the source stay.
func TestFrozenRowsOfARollupAreDeletedByName(t *testing.T) {
	var clock handClock
	fs := vfs.NewMem()
	e := open(t, fs, clock.option)
	defer closeEngine(t, e)
	at := func(hours int) int64 { return noon.Add(time.Duration(hours) * time.Hour).UnixNano() }
	write(t, e, fmt.Sprintf("m,host=a f=1,g=1 %d", at(-3)), fmt.Sprintf("m,host=b f=2 %d", at(-3)), fmt.Sprintf("m,host=a f=3 %d", at(60)))
	flush(t, e)
	createRollup(t, e, rollupSpec("r", time.Hour))
	e.ServeRollups(plainAggregator{t: t, fs: fs})
	must(t, e.RefreshRollup(context.Background(), "db", "r", nil))
	compact(t, e)
	must(t, e.SetTableRetention("db", "m", 24*time.Hour))
	clock.pass(e, 48*time.Hour)
	compact(t, e) // the file that has expired rows is written again without them
	infos, err := e.Rollups("db")
	must(t, err)
	frozen := infos[0].FrozenBefore
	if frozen <= at(-3) {
		t.Fatalf("frozen before %d", frozen)
	}
	spec := engine.DeleteSpec{
		Database: "db", Tables: []string{"r"}, Time: schema.TimeRange{Min: math.MinInt64, Max: frozen},
		Where: &schema.Predicate{Op: schema.Equal, Tag: "host", Text: "a"},
	}
	var derived *engine.RollupRowsError
	if err := e.DeleteRows(context.Background(), spec); !errors.As(err, &derived) || derived.FrozenBefore != frozen {
		t.Errorf("a deletion of rows that are not frozen: %v", err)
	}
	spec.Time.Max = frozen - 1
	must(t, e.DeleteRows(context.Background(), spec))
	v, err := e.View(context.Background(), "db", []string{"r"})
	must(t, err)
	defer v.Close()
	var hosts []string
	for key := range readRollup(t, fs, v.Tables[0]) {
		hosts = append(hosts, fmt.Sprint(tagsOf(key)["host"], time.Unix(0, timeOf(key)).Sub(noon).Round(time.Hour)))
	}
	slices.Sort(hosts)
	if d := gocmp.Diff([]string{"a60h0m0s", "b-3h0m0s"}, hosts); d != "" {
		t.Errorf("rows of the rollup (-want +got)\n%s", d)
	}
	checkRollup(t, fs, v.Tables[0])
}

// TestALongerPeriodOfARollupShowsWhatIsStored: intervals that it did not keep are frozen, not taken for computed.
func TestALongerPeriodOfARollupShowsWhatIsStored(t *testing.T) {
	var clock handClock
	fs := vfs.NewMem()
	e := open(t, fs, clock.option)
	defer closeEngine(t, e)
	e.ServeRollups(plainAggregator{t: t, fs: fs})
	at := func(hours int) int64 { return noon.Add(time.Duration(hours) * time.Hour).UnixNano() }
	write(t, e, fmt.Sprintf("m,host=a f=1,g=1 %d", at(-50)), fmt.Sprintf("m,host=a f=2 %d", at(-20)))
	flush(t, e)
	spec := rollupSpec("r", time.Hour)
	spec.Retention = 24 * time.Hour
	createRollup(t, e, spec)
	for _, step := range []func(){
		func() {},
		func() { must(t, e.SetTableRetention("db", "r", 1000*time.Hour)) },
		func() { must(t, e.SetTableRetention("db", "r", time.Hour)) },
		func() { clock.pass(e, 70*time.Hour) },
		func() { must(t, e.SetTableRetention("db", "r", 1000*time.Hour)) },
		func() {
			write(t, e, fmt.Sprintf("m,host=a f=1 %d", at(-20)), fmt.Sprintf("m,host=a f=1 %d", at(69)))
			flush(t, e)
		},
	} {
		step()
		must(t, e.RefreshRollup(context.Background(), "db", "r", nil))
		expectRollup(t, e, fs, "r", "after a step")
	}
}

// TestExpiredRowsDoNotWaitForARollupForEver: the refreshes of one rollup fail for a day. Its source's expired rows go then, and
// not before.
func TestExpiredRowsDoNotWaitForARollupForEver(t *testing.T) {
	var clock handClock
	fs := vfs.NewMem()
	e := open(t, fs, clock.option)
	defer closeEngine(t, e)
	write(t, e, fmt.Sprintf("m,host=a f=1,g=1 %d", noon.UnixNano()))
	flush(t, e)
	createRollup(t, e, rollupSpec("r", time.Hour))
	must(t, e.SetTableRetention("db", "m", time.Hour))
	fail := func() {
		t.Helper()
		if err := e.RefreshWith(context.Background(), "db", "r", brokenAggregator{}); !errors.Is(err, errBroken) {
			t.Fatalf("a refresh said %v", err)
		}
		e.PurgeDue()
	}
	for _, step := range []struct {
		hours time.Duration
		files int
	}{{5, 1}, {20, 1}, {3, 1}, {2, 0}} {
		clock.pass(e, step.hours*time.Hour)
		if step.files > 0 {
			fail()
		}
		if n := len(parquetFiles(t, fs)); n != step.files {
			t.Fatalf("%d files are left at %v", n, clock.now())
		}
	}
	infos, err := e.Rollups("db")
	must(t, err)
	if infos[0].FrozenBefore <= noon.UnixNano() {
		t.Errorf("what was given up is not frozen: %d", infos[0].FrozenBefore)
	}
}

var errBroken = errors.New("it cannot be computed")

// brokenAggregator computes nothing.
type brokenAggregator struct{}

func (brokenAggregator) Aggregate(context.Context, engine.RollupJob) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) { yield(nil, errBroken) }
}

// TestASalvagedRollupIsWhatItsSourceSays: one of its files is lost.
func TestASalvagedRollupIsWhatItsSourceSays(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	write(t, e, "m,host=a f=1,g=1 1", fmt.Sprintf("m,host=b f=2 %d", 7*time.Hour))
	flush(t, e)
	createRollup(t, e, rollupSpec("r", time.Hour))
	source := parquetFiles(t, fs)
	must(t, e.RefreshWith(context.Background(), "db", "r", plainAggregator{t: t, fs: fs}))
	closeEngine(t, e)
	lost := slices.DeleteFunc(parquetFiles(t, fs), func(name string) bool { return slices.Contains(source, name) })
	if len(lost) != 1 {
		t.Fatalf("the rollup has files %q", lost)
	}
	must(t, fs.Remove(lost[0]))
	mustSalvage(t, fs)
	e = open(t, fs)
	defer closeEngine(t, e)
	expectRollup(t, e, fs, "r", "after the salvage")
	must(t, e.RefreshWith(context.Background(), "db", "r", plainAggregator{t: t, fs: fs}))
	expectRollup(t, e, fs, "r", "after the refresh")
	expectStale(t, e, "after the refresh")
}

func checkSoundEngine(t testing.TB, e *engine.Engine) {
	t.Helper()
	if infos, err := e.Rollups(""); err != nil || len(infos) != 0 {
		t.Errorf("there are %v, %v", infos, err)
	}
}

// TestRollupsAreWhatTheirSourceSays writes, overwrites, deletes, flushes, compacts, refreshes, lets rows expire, restarts and crashes,
// all at random. After every step each rollup is what the rows say that were ever accepted, or for what is frozen, what
// they said when it was.
func TestRollupsAreWhatTheirSourceSays(t *testing.T) {
	for n := range *rollupsFlag {
		seed := *seedFlag + uint64(n)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			defer func() {
				if t.Failed() {
					t.Logf("go test ./engine -count 1 -run '^TestRollupsAreWhatTheirSourceSays$' -rollups 1 -seed %d", seed)
				}
			}()
			newRollupModel(t, seed).run()
		})
	}
}

type rollupModel struct {
	t      *testing.T
	rng    *rand.Rand
	clock  handClock
	fs     *vfs.MemFS
	e      *engine.Engine
	period time.Duration // of the source
	rows   contents      // of the source, all that were accepted and not deleted
	frozen map[string]contents
	before map[string]int64 // the first instant that is not frozen
}

const rollupSteps = 120

var modelRollups = []engine.RollupSpec{rollupSpec("hourly", time.Hour), rollupSpec("daily", 24*time.Hour, "host")}

func newRollupModel(t *testing.T, seed uint64) *rollupModel {
	m := &rollupModel{
		t: t, rng: rand.New(rand.NewPCG(seed, 11)), fs: vfs.NewCrashableMem(), rows: make(contents),
		frozen: make(map[string]contents), before: make(map[string]int64),
	}
	m.open()
	m.put("m,host=a,rack=x", m.clock.now().UnixNano(), map[string]any{"f": 1.0, "g": 1.0})
	for _, spec := range modelRollups {
		m.frozen[spec.Name], m.before[spec.Name] = make(contents), math.MinInt64
		createRollup(t, m.e, spec)
	}
	return m
}

func (m *rollupModel) open() {
	m.e = open(m.t, m.fs, m.clock.option)
	m.e.ServeRollups(plainAggregator{t: m.t, fs: m.fs})
}

func (m *rollupModel) run() {
	actions := []struct {
		weight int
		name   string
		do     func()
	}{
		{30, "write", m.write},
		{12, "flush", func() { flush(m.t, m.e) }},
		{14, "refresh", m.refresh},
		{5, "compact", func() { compact(m.t, m.e) }},
		{8, "delete", m.delete},
		{10, "let time pass", func() { m.clock.pass(m.e, time.Duration(1+m.rng.IntN(20))*time.Hour) }},
		{4, "change the period", m.setPeriod},
		{4, "restart", func() {
			closeEngine(m.t, m.e)
			m.open()
		}},
		{4, "crash", func() {
			m.fs = crashAndClose(m.t, m.fs, m.e, m.rng)
			m.open()
		}},
	}
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	for step := range rollupSteps {
		k, i := m.rng.IntN(total), 0
		for ; k >= actions[i].weight; i++ {
			k -= actions[i].weight
		}
		actions[i].do()
		m.e.PurgeDue() // so that nothing is left for the background to freeze in the middle of a step
		m.compare(fmt.Sprintf("step %d, %s", step, actions[i].name))
	}
	closeEngine(m.t, m.e)
	checkSound(m.t, m.fs)
}

func (m *rollupModel) floor() int64 {
	if m.period == 0 {
		return math.MinInt64
	}
	return m.clock.now().Add(-m.period).UnixNano()
}

func (m *rollupModel) put(series string, ns int64, fields map[string]any) {
	key := fmt.Sprintf("%s %d", series, ns)
	var text []string
	for k, v := range fields {
		text = append(text, fmt.Sprintf("%s=%v", k, v))
	}
	write(m.t, m.e, fmt.Sprintf("%s %s %d", series, strings.Join(text, ","), ns))
	m.rows.merge(key, fields)
}

func (m *rollupModel) write() {
	for range 1 + m.rng.IntN(6) {
		series := fmt.Sprintf("m,host=%c", 'a'+m.rng.IntN(3))
		if m.rng.IntN(3) > 0 {
			series += fmt.Sprintf(",rack=%c", 'x'+m.rng.IntN(2))
		}
		ns := m.clock.now().Add(-time.Duration(m.rng.IntN(100*60)) * time.Minute).UnixNano()
		fields := map[string]any{"f": float64(m.rng.IntN(100))}
		if m.rng.IntN(2) == 0 {
			fields["g"] = float64(m.rng.IntN(100))
		}
		if m.rng.IntN(5) == 0 {
			delete(fields, "f")
			fields["g"] = 7.0
		}
		if ns > m.floor() {
			m.put(series, ns, fields)
		}
	}
}

func (m *rollupModel) refresh() {
	spec := modelRollups[m.rng.IntN(len(modelRollups))]
	must(m.t, m.e.RefreshRollup(context.Background(), "db", spec.Name, nil))
}

func (m *rollupModel) delete() {
	from := m.clock.now().Add(-time.Duration(m.rng.IntN(120*60)) * time.Minute)
	spec := engine.DeleteSpec{Database: "db", Time: schema.TimeRange{
		Min: from.UnixNano(), Max: from.Add(time.Duration(m.rng.IntN(40*60)) * time.Minute).UnixNano(),
	}}
	if m.rng.IntN(3) > 0 {
		spec.Where = &schema.Predicate{Op: schema.Equal, Tag: "host", Text: fmt.Sprintf("%c", 'a'+m.rng.IntN(3))}
	}
	deleteRows(m.t, m.e, m.rows, spec)
}

func (m *rollupModel) setPeriod() {
	m.period = []time.Duration{0, 60 * time.Hour, 90 * time.Hour, 130 * time.Hour}[m.rng.IntN(4)]
	must(m.t, m.e.SetTableRetention("db", "m", m.period))
}

func (m *rollupModel) compare(when string) {
	m.t.Helper()
	infos, err := m.e.Rollups("db")
	must(m.t, err)
	for _, info := range infos {
		name := info.Table.Name
		now := aggregate(m.rows, info.Table, []schema.TimeRange{schema.MaxTimeRange})
		for key, fields := range now { // what has been frozen since is what it was until then
			if ns := timeOf(key); ns < info.FrozenBefore && ns >= m.before[name] {
				m.frozen[name][key] = fields
			}
		}
		m.before[name] = info.FrozenBefore
		maps.DeleteFunc(now, func(key string, _ map[string]any) bool { return timeOf(key) < info.FrozenBefore })
		maps.Copy(now, m.frozen[name])
		v, err := m.e.View(context.Background(), "db", []string{name})
		must(m.t, err)
		got := readRollup(m.t, m.fs, v.Tables[0])
		v.Close()
		if d := gocmp.Diff(now, got); d != "" {
			m.t.Fatalf("%s: rollup %s, frozen before %d (-want +got)\n%s", when, name, info.FrozenBefore, d)
		}
	}
}
