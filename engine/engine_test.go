package engine_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/engine"
)

const day = int64(86_400_000_000_000)

func open(t testing.TB, fs vfs.FS, change ...func(*engine.Options)) *engine.Engine {
	t.Helper()
	opts := engine.Options{DataDir: "data", FS: fs, Gen1Duration: -1, WALSegmentBytes: 64 << 10}
	for _, c := range change {
		c(&opts)
	}
	e, err := engine.Open(opts)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return e
}

func closeEngine(t testing.TB, e *engine.Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// write writes lines to database db with time stamps in nanoseconds.
func write(t testing.TB, e *engine.Engine, lines ...string) engine.WriteResult {
	t.Helper()
	r, err := e.Write(context.Background(), request(lines...))
	if err != nil {
		t.Fatalf("Write(%q): %v", lines, err)
	}
	return r
}

func request(lines ...string) engine.WriteRequest {
	return engine.WriteRequest{Database: "db", Body: []byte(strings.Join(lines, "\n")), Precision: engine.Nanosecond, AcceptPartial: true}
}

func flush(t testing.TB, e *engine.Engine) {
	t.Helper()
	if err := e.Flush(context.Background()); err != nil {
		t.Fatalf("Flush: %v", err)
	}
}

func expect(t testing.TB, e *engine.Engine, fs vfs.FS, want contents) {
	t.Helper()
	if got := read(t, e, fs, "db"); !reflect.DeepEqual(got, want) {
		t.Fatalf("the database holds\n%v\nwant\n%v", got, want)
	}
}

func TestAcknowledgedPointsAreVisibleInEveryStateOfTheirLife(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	write(t, e,
		`cpu,host=a,zone=z1 usage=1.5,n=3i,u=7u,ok=true,msg="hi, you" 1`,
		`cpu,host=b usage=2 2`,
		`mem,host=a free=10i 86400000000001`,
	)
	want := contents{
		"cpu,host=a,zone=z1 1":      {"usage": 1.5, "n": int64(3), "u": uint64(7), "ok": true, "msg": "hi, you"},
		"cpu,host=b 2":              {"usage": 2.0},
		"mem,host=a 86400000000001": {"free": int64(10)},
	}
	expect(t, e, fs, want)
	flush(t, e)
	expect(t, e, fs, want)
	if s := e.Stats(); s.Files != 2 || s.BufferedRows != 0 {
		t.Fatalf("after a flush there are %d files and %d buffered rows, want 2 and 0", s.Files, s.BufferedRows)
	}
	write(t, e, `cpu,host=c usage=3 3`)
	want["cpu,host=c 3"] = map[string]any{"usage": 3.0}
	expect(t, e, fs, want)
	closeEngine(t, e)
	e = open(t, fs)
	defer closeEngine(t, e)
	expect(t, e, fs, want)
}

func TestLastWriteOfAFieldWins(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	write(t, e, "m,t=x a=1,b=1 100", "m,t=x a=2 100", "m,t=x c=9 100")
	want := contents{"m,t=x 100": {"a": 2.0, "b": 1.0, "c": 9.0}}
	expect(t, e, fs, want)
	flush(t, e)
	expect(t, e, fs, want)
	write(t, e, "m,t=x b=5 100")
	want["m,t=x 100"]["b"] = 5.0
	expect(t, e, fs, want)
	flush(t, e)
	expect(t, e, fs, want)
	closeEngine(t, e)
	e = open(t, fs)
	defer closeEngine(t, e)
	write(t, e, "m,t=x a=7 100", "m,t=x a=8 50")
	want["m,t=x 100"]["a"] = 7.0
	want["m,t=x 50"] = map[string]any{"a": 8.0}
	expect(t, e, fs, want)
}

func TestBadLinesAreRejectedOneByOneAndLeaveNoTrace(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	r := write(t, e,
		"# comment",
		"good,host=a v=1 1",
		"bad1,newtag=x newfield= 2",
		"",
		"good,host=a v=1i 3",
		"good,v=a w=1 4",
		"good,host=b host=1 5",
		"good,host=b fresh=1,fresh=2 6",
		"good,host=b fresh2=1 99999999999999999999",
		"good,host=b v=2 7",
		"good time=1 8",
	)
	if r.Accepted != 2 || r.Rejected != 7 {
		t.Fatalf("accepted %d, rejected %d, want 2 and 7", r.Accepted, r.Rejected)
	}
	want := []engine.LineError{
		{Line: 3, Message: "No fields were provided"},
		{Line: 5, Message: "invalid column type for column 'v', expected iox::column_type::field::float, got iox::column_type::field::integer"},
		{Line: 6, Message: "invalid column type for column 'v', expected iox::column_type::field::float, got iox::column_type::tag"},
		{Line: 7, Message: "invalid column type for column 'host', expected iox::column_type::tag, got iox::column_type::field::float"},
		{Line: 8, Message: "invalid line protocol - multiple instances of 'fresh' field found"},
		{Line: 9, Message: "Unable to parse timestamp value `99999999999999999999`"},
		{Line: 11, Message: "'time' is a reserved column"},
	}
	for i, w := range want {
		if got := r.Errors[i]; got.Line != w.Line || got.Message != w.Message {
			t.Errorf("error %d is line %d: %s\nwant line %d: %s", i, got.Line, got.Message, w.Line, w.Message)
		}
	}
	expect(t, e, fs, contents{"good,host=a 1": {"v": 1.0}, "good,host=b 7": {"v": 2.0}})
	v, err := e.View(context.Background(), "db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if len(v.Tables) != 1 || len(v.Tables[0].Table.Columns) != 2 {
		t.Fatalf("rejected lines left a trace in the schema: %v", v.Tables[0].Table.Columns)
	}
}

func TestRejectedRequestLeavesNoTraceAtAll(t *testing.T) {
	e := open(t, vfs.NewMem())
	defer closeEngine(t, e)
	req := request("a,t=1 f=1 1", "a,t=1 f= 2")
	req.AcceptPartial = false
	r, err := e.Write(context.Background(), req)
	if err != nil || r.Accepted != 0 || r.Rejected != 2 || len(r.Errors) != 1 {
		t.Fatalf("Write = %+v, %v", r, err)
	}
	if _, err := e.View(context.Background(), "db", nil); !errors.Is(err, engine.ErrDatabaseNotFound) {
		t.Fatalf("the rejected request created its database: %v", err)
	}
	if r := write(t, e, "a,t=1 f=1i 1"); r.Accepted != 1 {
		t.Fatalf("the rejected request fixed the field's type: %+v", r)
	}
}

func TestEarlierLineFixesTheTypeThatALaterOneBreaks(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	r := write(t, e, "m f=1i 1", "m f=2 2", "m f=3i 3")
	if r.Accepted != 2 || r.Rejected != 1 || r.Errors[0].Line != 2 {
		t.Fatalf("Write = %+v", r)
	}
	expect(t, e, fs, contents{"m 1": {"f": int64(1)}, "m 3": {"f": int64(3)}})
}

func TestConcurrentWritersAgreeOnOneTypeAndLoseNothingElse(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	type outcome struct {
		r   engine.WriteResult
		err error
	}
	for round := range 20 {
		results := make(chan outcome)
		for w, value := range []string{"1i", "1", `"s"`, "true"} {
			go func() {
				r, err := e.Write(context.Background(), request(fmt.Sprintf("t%d,w=%d x=%s,own%d=1 %d", round, w, value, w, w), fmt.Sprintf("t%d,w=%d other=1 10", round, w)))
				results <- outcome{r, err}
			}()
		}
		accepted := 0
		for range 4 {
			o := <-results
			if o.err != nil {
				t.Fatal(o.err)
			}
			accepted += o.r.Accepted
		}
		if accepted != 5 {
			t.Fatalf("round %d: %d lines were accepted, want one of the conflicting and all four others", round, accepted)
		}
	}
}

func TestFullPoolRefusesWritesUntilAFlushMakesRoom(t *testing.T) {
	mem := vfs.NewMem()
	var broken atomic.Bool
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && strings.Contains(op.Path, ".parquet") {
			return errorfs.ErrInjected
		}
		return nil
	}))
	e := open(t, fs, func(o *engine.Options) { o.PoolBytes = engine.MinPoolBytes })
	defer closeEngine(t, e)
	broken.Store(true) // flushes fail, so that buffers only grow
	text := strings.Repeat("x", 60_000)
	written := 0
	for {
		_, err := e.Write(context.Background(), request(fmt.Sprintf("m s=%q %d", text, written)))
		if errors.Is(err, engine.ErrOverloaded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		written++
	}
	if held := int64(written) * int64(len(text)); held < engine.MinPoolBytes/4 || e.Stats().BufferBytes > engine.MinPoolBytes {
		t.Fatalf("writes are refused with %d bytes written and %d held, the pool has %d", held, e.Stats().BufferBytes, engine.MinPoolBytes)
	}
	if got := len(read(t, e, mem, "db")); got != written {
		t.Fatalf("%d points are there, %d were acknowledged", got, written)
	}
	broken.Store(false)
	flush(t, e)
	write(t, e, "m s=\"after\" 123456789")
	if got := len(read(t, e, mem, "db")); got != written+1 {
		t.Fatalf("%d points are there, %d were acknowledged", got, written+1)
	}
}

func TestDirectoryHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	real := func(o *engine.Options) { o.DataDir = dir + "/data" }
	e := open(t, vfs.Default, real)
	defer closeEngine(t, e)
	if _, err := engine.Open(engine.Options{DataDir: dir + "/data"}); !errors.Is(err, engine.ErrInUse) {
		t.Fatalf("a second Open says %v, want ErrInUse", err)
	}
}

func TestDataWithoutItsCatalogIsNotTouched(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	write(t, e, "m f=1 1")
	closeEngine(t, e)
	if err := fs.RemoveAll("data/catalog"); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Open(engine.Options{DataDir: "data", FS: fs}); !errors.Is(err, engine.ErrDamaged) {
		t.Fatalf("Open says %v, want ErrDamaged", err)
	}
}

func TestDirectoriesMayBeMountsOfTheirOwn(t *testing.T) {
	fs := vfs.NewMem()
	for _, dir := range []string{"data/wal/lost+found", "data/files/lost+found"} {
		if err := fs.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	e := open(t, fs)
	write(t, e, "m f=1 1")
	closeEngine(t, e)
	e = open(t, fs)
	defer closeEngine(t, e)
	if got := len(read(t, e, fs, "db")); got != 1 {
		t.Fatalf("%d points came back, want 1", got)
	}
}

func TestSparseDaysShareAFile(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs)
	defer closeEngine(t, e)
	want := make(contents)
	for i := range int64(400) {
		write(t, e, fmt.Sprintf("weather,town=a t=%d %d", i, i*day))
		want[fmt.Sprintf("weather,town=a %d", i*day)] = map[string]any{"t": float64(i)}
	}
	flush(t, e)
	expect(t, e, fs, want)
	if s := e.Stats(); s.Files != 1 {
		t.Fatalf("400 days of one row became %d files, want 1", s.Files)
	}
}

func TestOneWideLineDoesNotPadManyNarrowOnes(t *testing.T) {
	fs := vfs.NewCrashableMem()
	e := open(t, fs)
	var lines []string
	for i := range 5_000 {
		lines = append(lines, fmt.Sprintf("m f=%d %d", i, i))
	}
	wide := make([]string, 1_000)
	for i := range wide {
		wide[i] = fmt.Sprintf("w%d=1", i)
	}
	lines = append(lines, "m "+strings.Join(wide, ",")+" -1", "m f=1 -2")
	write(t, e, lines...)
	if got := e.Stats().BufferBytes; got > 4<<20 {
		t.Fatalf("%d lines take %d bytes of buffers", len(lines), got)
	}
	want := read(t, e, fs, "db")
	if len(want) != len(lines) || len(want["m -1"]) != len(wide) {
		t.Fatalf("%d points are there, the wide one with %d fields", len(want), len(want["m -1"]))
	}
	crashed := open(t, fs.CrashClone(vfs.CrashCloneCfg{}))
	defer closeEngine(t, crashed)
	closeEngine(t, e)
}

func TestPartitionBeyondThePersistersShareIsWrittenInRuns(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs, func(o *engine.Options) { o.PoolBytes = engine.MinPoolBytes })
	defer closeEngine(t, e)
	const rows = 120_000 // sorting takes 16 bytes for each, the share has 2.4 MB
	var lines []string
	for i := range rows {
		lines = append(lines, fmt.Sprintf("m,k=%d f=%di %d", i%7, i, i))
	}
	for i := range 100 { // the last run replaces what the first one holds
		lines = append(lines, fmt.Sprintf("m,k=%d f=-1i %d", i%7, i))
	}
	write(t, e, lines...)
	flush(t, e)
	if s := e.Stats(); s.Files < 2 || s.BufferedRows != 0 {
		t.Fatalf("%d rows became %d files, %d are still buffered", rows, s.Files, s.BufferedRows)
	}
	got := read(t, e, fs, "db")
	if len(got) != rows {
		t.Fatalf("%d points are there, want %d", len(got), rows)
	}
	for i := range rows {
		want := int64(i)
		if i < 100 {
			want = -1
		}
		if f := got[fmt.Sprintf("m,k=%d %d", i%7, i)]["f"]; f != want {
			t.Fatalf("point %d has %v, want %d", i, f, want)
		}
	}
}

// TestFlushInTheMiddleOfARecordLosesNothing: sparse rows make several batches for one
// partition in one record. A flush that came between them once committed the record as
// flushed, and the next recovery skipped the rest.
func TestFlushInTheMiddleOfARecordLosesNothing(t *testing.T) {
	for range 3 {
		fs := vfs.NewCrashableMem()
		e := open(t, fs)
		var lines []string
		for i := range 20_000 {
			lines = append(lines, fmt.Sprintf("m f%d=1 %d", i%500, i))
		}
		written := make(chan error)
		go func() {
			_, err := e.Write(context.Background(), request(lines...))
			written <- err
		}()
		for e.Stats().BufferedRows == 0 {
			runtime.Gosched()
		}
		flush(t, e)
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{})
		closeEngine(t, e)
		again := open(t, crashed)
		if got := countRows(t, again); got != int64(len(lines)) {
			t.Errorf("%d of %d acknowledged rows are left", got, len(lines))
		}
		closeEngine(t, again)
	}
}

// TestManyNewDaysAreReservedInFull: a row for each of many days takes far more than
// its values.
func TestManyNewDaysAreReservedInFull(t *testing.T) {
	e := open(t, vfs.NewMem(), func(o *engine.Options) { o.PoolBytes = engine.MinPoolBytes })
	defer closeEngine(t, e)
	var lines []string
	for i := range int64(20_000) {
		lines = append(lines, fmt.Sprintf("m v=1 %d", i*day))
	}
	_, err := e.Write(context.Background(), request(lines...))
	if !errors.Is(err, engine.ErrTooLarge) {
		t.Fatalf("20,000 partitions in a pool of %d: %v, buffers %d", engine.MinPoolBytes, err, e.Stats().BufferBytes)
	}
}
