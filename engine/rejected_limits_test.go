package engine_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/siltstone-db/siltstone/engine"
)

// keptRows reads the rejected-points log, in the order of the lines.
func keptRows(t testing.TB, e *engine.Engine, fs vfs.FS) []map[string]any {
	t.Helper()
	return slices.SortedFunc(maps.Values(read(t, e, fs, engine.InternalDatabase)), func(a, b map[string]any) int {
		return cmp.Compare(a["line"].(int64), b["line"].(int64))
	})
}

// keptPoints adds up the points for which the rows stand.
func keptPoints(rows []map[string]any) (points int64) {
	for _, row := range rows {
		points += row["points"].(int64)
	}
	return points
}

func TestRejectedLinesWithLongOrUnprintableNamesAreKept(t *testing.T) {
	key, name, odd := strings.Repeat("k", 65_500), strings.Repeat("k", 40_000), strings.Repeat("\u0085", 10_000)
	for what, bad := range map[string][]string{
		"a long field key":              {"m " + key + "=1,f=1,f=2"},
		"a long field key twice":        {"m " + key + "=1," + key + "=2"},
		"long names in the hint":        {name + " " + name + "=1 1", name + " " + name + "=1i 2"},
		"unprintable names in the hint": {odd + " f=1 1", odd + " f=1i 2"},
		"a name that is no text":        {"\xff" + name + " f=1 1"},
		"a long name of quotes":         {"m " + strings.Repeat(`"`, 60_000) + "=1,f=1,f=2"},
		"a long name of backslashes":    {"m,t=" + strings.Repeat(`\\`, 30_000) + " f=1,f=2"},
	} {
		t.Run(what, func(t *testing.T) {
			fs := vfs.NewMem()
			e := open(t, fs, keepRejected, atNoon)
			defer closeEngine(t, e)
			r := write(t, e, append([]string{"good f=1 1"}, bad...)...)
			if r.Rejected != 1 || r.Accepted != len(bad) {
				t.Fatalf("%d accepted, %d rejected, want the last of the lines rejected", r.Accepted, r.Rejected)
			}
			if got := read(t, e, fs, "db")["good 1"]; got == nil {
				t.Error("the good line is not stored")
			}
			rows := keptRows(t, e, fs)
			if len(rows) != 1 || rows[0]["line"] != int64(1+len(bad)) || rows[0]["reason"] == "" {
				t.Fatalf("the log has %d rows: %.500v", len(rows), rows)
			}
			raw, line := rows[0]["raw"].(string), bad[len(bad)-1]
			if rows[0]["truncated"] == false && rows[0]["quoted"] == false && raw != line {
				t.Errorf("%d bytes are kept of %d, and not marked as truncated", len(raw), len(line))
			}
			if len(r.Errors[0].Message) > 4096 || len(r.Errors[0].Hint) > 4096 {
				t.Errorf("the answer has a message of %d bytes and a hint of %d", len(r.Errors[0].Message), len(r.Errors[0].Hint))
			}
		})
	}
}

func TestRejectedLineIsKeptWithTheLineBreaksOfItsStrings(t *testing.T) {
	for _, line := range []string{
		"m f=bad,s=\"x\ny\" 1",
		"m s=\"x\ny\",f=bad 1",
		"m s=\"x\n\n# no comment\n\" 1 junk",
		"m f=bad,s=\"x\ny\",u=\"\\\"z\n\" 1",
		"m,t f=1,s=\"x\r\ny\" 1",
	} {
		fs := vfs.NewMem()
		e := open(t, fs, keepRejected)
		if r := write(t, e, "good f=1 1", line, "good f=2 2"); r.Accepted != 2 || r.Rejected != 1 {
			t.Errorf("of %q %d lines are rejected and of its neighbours %d accepted", line, r.Rejected, r.Accepted)
		}
		if rows := keptRows(t, e, fs); len(rows) != 1 || rows[0]["raw"] != line {
			t.Errorf("%q is kept as %v", line, rows)
		}
		closeEngine(t, e)
	}
}

// TestRejectedStringsOfManyLinesAreKeptWhole sends more than fits one record of the log,
// with line breaks wherever a record could be cut.
func TestRejectedStringsOfManyLinesAreKeptWhole(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs, keepRejected)
	defer closeEngine(t, e)
	const lines = 4000
	bad := make([]string, lines)
	for i := range bad {
		bad[i] = fmt.Sprintf("m i=%di,s=\"", i) + strings.Repeat("x\n", 1200) + "\" 1 junk"
	}
	r := write(t, e, append([]string{"good f=1 1"}, bad...)...)
	if r.Accepted != 1 || r.Rejected != lines {
		t.Fatalf("%d accepted, %d rejected", r.Accepted, r.Rejected)
	}
	rows := keptRows(t, e, fs)
	var kept []string
	for _, row := range rows {
		kept = append(kept, row["raw"].(string))
	}
	if strings.Join(kept, "\n") != strings.Join(bad, "\n") {
		t.Error("what is kept differs from what was sent")
	}
	if got := keptPoints(rows); got != lines {
		t.Errorf("%d of %d lines are kept", got, lines)
	}
	if got := read(t, e, fs, "db"); len(got) != 1 {
		t.Errorf("the database has %d points", len(got))
	}
}

// TestShortRejectedLinesShareRows: a row for each of them would take 200 times the body.
func TestShortRejectedLinesShareRows(t *testing.T) {
	const lines, mostRows, mostBytes = 256 << 10, 1200, 4 << 20
	fs := vfs.NewMem()
	e := open(t, fs, keepRejected, func(o *engine.Options) { o.PoolBytes = engine.MinPoolBytes })
	defer closeEngine(t, e)
	for attempt := range 2 {
		req := request(fmt.Sprintf("good f=1 %d\n", attempt) + strings.Repeat("a\n", lines))
		req.RequestID = fmt.Sprint("request ", attempt)
		r, err := e.Write(context.Background(), req)
		if err != nil || r.Accepted != 1 || r.Rejected != lines || len(r.Errors) != engine.MaxReportedErrors {
			t.Fatalf("%d accepted, %d rejected, %d reported, %v", r.Accepted, r.Rejected, len(r.Errors), err)
		}
		if n := e.Stats().BufferBytes; n > mostBytes {
			t.Errorf("a body of %d bytes takes %d of the buffers", len(req.Body), n)
		}
		rows := keptRows(t, e, fs)
		if len(rows) > (attempt+1)*mostRows || keptPoints(rows) != int64(attempt+1)*lines {
			t.Errorf("%d rows stand for %d lines", len(rows), keptPoints(rows))
		}
		if got := read(t, e, fs, "db"); len(got) != attempt+1 {
			t.Errorf("%d good lines are stored", len(got))
		}
		flush(t, e)
	}
}

// retryLine makes what a retry needs of a row of the log.
func retryLine(requestID string, row map[string]any) engine.RejectedLine {
	return engine.RejectedLine{
		ID: fmt.Sprintf("%s-%d", requestID, row["line"]), Time: noon.UnixNano(), Precision: engine.Nanosecond,
		Raw: row["raw"].(string), Quoted: row["quoted"].(bool), Truncated: row["truncated"].(bool), Points: int(row["points"].(int64)),
	}
}

// TestRowForSeveralLinesCanBeRetried rejects lines of a table that does not exist, with
// strings of several lines and text that is none among them, and writes them when it does.
func TestRowForSeveralLinesCanBeRetried(t *testing.T) {
	const lines = 3000
	fs := vfs.NewMem()
	e := open(t, fs, keepRejected, atNoon)
	defer closeEngine(t, e)
	if err := e.CreateDatabase("db", 0); err != nil {
		t.Fatal(err)
	}
	want := contents{}
	var body []string
	for i := range lines {
		text := []string{"plain", "two\nlines", `a "quote`}[i%3]
		body = append(body, fmt.Sprintf("late,k=%d n=%di,s=\"%s\" %d", i%7, i, strings.ReplaceAll(text, `"`, `\"`), i))
		want[fmt.Sprintf("late,k=%d %d", i%7, i)] = map[string]any{"n": int64(i), "s": text}
	}
	req := request(body...)
	req.RequestID, req.NoNewTables = "r", true
	if r, err := e.Write(context.Background(), req); err != nil || r.Rejected != lines {
		t.Fatalf("%d rejected, %v", r.Rejected, err)
	}
	rows := keptRows(t, e, fs)
	if n := len(rows); n > lines/2 || keptPoints(rows) != lines {
		t.Fatalf("%d rows stand for %d lines", n, keptPoints(rows))
	}
	var again []engine.RejectedLine
	for _, row := range rows {
		again = append(again, retryLine("r", row))
	}
	results, err := e.RetryRejected(context.Background(), "db", again, engine.RetryOptions{})
	if err != nil || len(results) != len(again) {
		t.Fatalf("%d of %d answers, %v", len(results), len(again), err)
	}
	for i, r := range results {
		if r.Message != "" || r.Rejected != 0 || r.Accepted != again[i].Points {
			t.Errorf("row %s for %d lines: %+v", r.ID, again[i].Points, r)
		}
	}
	expect(t, e, fs, want)
	for _, row := range keptRows(t, e, fs) {
		if row["status"] != engine.StatusRetried {
			t.Errorf("the row of line %v is %v", row["line"], row["status"])
		}
	}
}

// TestLinesThatARetryRejectsAgainGetRowsOfTheirOwn retries rows for two lines, one of
// which is bad in each.
func TestLinesThatARetryRejectsAgainGetRowsOfTheirOwn(t *testing.T) {
	for _, test := range []struct {
		what, raw string
		accepted  int
		kept      map[int]string // by line of the row
	}{
		{"the first", "m f=\nm f=1 1", 1, map[int]string{1: "m f="}},
		{"the last", "m f=1 1\nm f=", 1, map[int]string{2: "m f="}},
		{"all", "m f=\nm g=", 0, map[int]string{1: "m f=", 2: "m g="}},
		{"none", "m f=1 1\nm f=1 2", 2, nil},
	} {
		t.Run(test.what, func(t *testing.T) {
			fs := vfs.NewMem()
			e := open(t, fs, keepRejected, atNoon)
			defer closeEngine(t, e)
			line := engine.RejectedLine{ID: "r-7", Time: noon.UnixNano(), Precision: engine.Nanosecond, Raw: test.raw, Points: 2}
			results, err := e.RetryRejected(context.Background(), "db", []engine.RejectedLine{line}, engine.RetryOptions{})
			if err != nil || results[0].Accepted != test.accepted || results[0].Rejected != len(test.kept) || (results[0].Message != "") != (len(test.kept) > 0) {
				t.Errorf("the retry says %+v, %v", results, err)
			}
			rows := read(t, e, fs, engine.InternalDatabase)
			key := func(id string) string {
				return fmt.Sprintf("rejected_points,database=db,id=%s %d", id, noon.UnixNano())
			}
			if len(rows) != 1+len(test.kept) || rows[key("r-7")]["status"] != engine.StatusRetried {
				t.Errorf("the log holds %v", rows)
			}
			for n, raw := range test.kept {
				row := rows[key(fmt.Sprintf("r-7-retried-%d", n))]
				if row["raw"] != raw || row["status"] != engine.StatusRejected || row["points"] != int64(1) {
					t.Errorf("of line %d is kept %v", n, row)
				}
			}
		})
	}
}

// TestLinesThatMaySwallowOthersAreNotRetriedTogether: an accepted line stood between two
// bad ones, of which the first leaves a string open and the second closes one.
func TestLinesThatMaySwallowOthersAreNotRetriedTogether(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs, keepRejected, atNoon)
	defer closeEngine(t, e)
	write(t, e, "m f=1 1", "keep f=1 1")
	req := request(strings.Repeat("a\n", 1000) + "m f=1i,x=\"a\ngood s=\"b\" 1\nbad\"\nm f=1i,x=\"fine\" 2\n")
	req.RequestID = "r"
	if r, err := e.Write(context.Background(), req); err != nil || r.Rejected != 1003 {
		t.Fatalf("%d rejected, %v", r.Rejected, err)
	}
	if err := e.DeleteTable("db", "m", time.Time{}); err != nil {
		t.Fatal(err)
	}
	var again []engine.RejectedLine
	for _, row := range keptRows(t, e, fs) {
		again = append(again, retryLine("r", row))
	}
	results, err := e.RetryRejected(context.Background(), "db", again, engine.RetryOptions{})
	accepted := 0
	for _, r := range results {
		accepted += r.Accepted
	}
	if err != nil || accepted != 1 {
		t.Errorf("%d points are accepted, %v", accepted, err)
	}
	expect(t, e, fs, contents{"good 1": {"s": "b"}, "keep 1": {"f": 1.0}, "m 2": {"f": int64(1), "x": "fine"}})
}

// TestRetryDoesNotMakeATableOfADatasource anew: it would be one without a key.
func TestRetryDoesNotMakeATableOfADatasource(t *testing.T) {
	e := open(t, vfs.NewMem(), keepRejected, atNoon)
	defer closeEngine(t, e)
	ds, err := e.CreateDatasource("p", "d")
	if err != nil {
		t.Fatal(err)
	}
	line := engine.RejectedLine{ID: "r-1", Time: noon.UnixNano(), Precision: engine.Nanosecond, Raw: "events,id=a n=1i 1"}
	results, err := e.RetryRejected(context.Background(), ds.Database, []engine.RejectedLine{line}, engine.RetryOptions{})
	if err != nil || results[0].Rejected != 1 || results[0].Message != "table 'events' does not exist" {
		t.Errorf("the retry says %+v, %v", results, err)
	}
	db, _ := e.Schema().Database(ds.Database)
	if tables := db.Tables(); len(tables) != 0 {
		t.Errorf("the retry made %v", tables)
	}
}

// TestRowThatCannotBeRetriedCountsAllItsPoints as rejected.
func TestRowThatCannotBeRetriedCountsAllItsPoints(t *testing.T) {
	e := open(t, vfs.NewMem(), keepRejected, atNoon)
	defer closeEngine(t, e)
	line := engine.RejectedLine{ID: "r-1", Time: noon.UnixNano(), Raw: "a=\"\nb=\"", Truncated: true, Points: 2}
	results, err := e.RetryRejected(context.Background(), "db", []engine.RejectedLine{line}, engine.RetryOptions{})
	if err != nil || results[0].Rejected != 2 || results[0].Accepted != 0 {
		t.Errorf("the retry says %+v, %v", results, err)
	}
}

// handClock stands still until it is set. The engine's goroutines read it, too.
type handClock struct {
	after atomic.Int64 // what has passed since noon
	wrong atomic.Int64 // how far the machine's clock is from that
}

// set lets time pass.
func (c *handClock) set(afterNoon time.Duration) { c.after.Store(int64(afterNoon)) }

// jump makes the machine's clock wrong.
func (c *handClock) jump(by time.Duration) { c.wrong.Store(int64(by)) }

func (c *handClock) now() time.Time {
	return noon.Add(time.Duration(c.after.Load())).Add(time.Duration(c.wrong.Load()))
}

func (c *handClock) option(o *engine.Options) {
	o.Now = c.now
	o.Elapsed = func() time.Duration { return time.Duration(c.after.Load()) }
}

// checkNothingStored fails if a refused request left a point, a rejected one or bytes in
// the pool.
func checkNothingStored(t *testing.T, e *engine.Engine, fs vfs.FS, table string, bytes int64) {
	t.Helper()
	for key := range read(t, e, fs, "db") {
		if strings.HasPrefix(key, table+" ") {
			t.Errorf("the refused request has stored %s", key)
		}
	}
	if rows := keptRows(t, e, fs); len(rows) != 0 {
		t.Errorf("the refused request has %d rows in the log", len(rows))
	}
	if n := e.Stats().BufferBytes; n != bytes {
		t.Errorf("the pool counts %d bytes, and %d before the request", n, bytes)
	}
}

// badLines are rejected lines of about the given size, some kilobytes each.
func badLines(bytes int) []string {
	line := "bad " + strings.Repeat("x", 4000)
	return slices.Repeat([]string{line}, bytes/len(line))
}

func TestRequestWhoseLogDoesNotFitThePoolIsTooLarge(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs, keepRejected, func(o *engine.Options) { o.PoolBytes = engine.MinPoolBytes })
	defer closeEngine(t, e)
	write(t, e, "there f=1 1")
	before := e.Stats().BufferBytes
	_, err := e.Write(context.Background(), request(append([]string{"good f=1 1"}, badLines(engine.MinPoolBytes/2)...)...))
	if !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("the request is answered with %v", err)
	}
	checkNothingStored(t, e, fs, "good", before)
	if r := write(t, e, append([]string{"good f=1 1"}, badLines(engine.MinPoolBytes/16)...)...); r.Accepted != 1 {
		t.Errorf("a smaller one: %+v", r)
	}
}

func TestRequestWhoseLogFindsThePoolFullIsRefusedAsAWhole(t *testing.T) {
	mem := vfs.NewMem()
	var isBroken atomic.Bool
	e := open(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if isBroken.Load() && isNewFile(op) {
			return errorfs.ErrInjected
		}
		return nil
	})), keepRejected, func(o *engine.Options) { o.PoolBytes = engine.MinPoolBytes })
	defer closeEngine(t, e)
	isBroken.Store(true) // flushes fail, so that buffers only grow
	for i := 0; e.Stats().BufferBytes < engine.MinPoolBytes/4; i++ {
		write(t, e, fmt.Sprintf("full s=%q %d", strings.Repeat("x", 60_000), i))
	}
	before := e.Stats().BufferBytes
	req := request(append([]string{"good f=1 1"}, badLines(engine.MinPoolBytes/6)...)...)
	if _, err := e.Write(context.Background(), req); !errors.Is(err, engine.ErrOverloaded) {
		t.Errorf("the request is answered with %v", err)
	}
	checkNothingStored(t, e, mem, "good", before)
	isBroken.Store(false)
	flush(t, e)
	if r, err := e.Write(context.Background(), req); err != nil || r.Accepted != 1 {
		t.Errorf("after a flush the request is answered with %+v, %v", r, err)
	}
	if rows := keptRows(t, e, mem); keptPoints(rows) == 0 {
		t.Error("its rejected lines are not kept")
	}
}

func TestInternalDatabaseHasNoColumnLimit(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs, keepRejected, func(o *engine.Options) { o.Limits.Columns = 2 })
	defer closeEngine(t, e)
	r := write(t, e, "good f=1,g=1 1", "bad", "good f=1,g=1,h=1 2")
	if r.Accepted != 1 || r.Rejected != 2 || !r.Errors[1].Limit {
		t.Errorf("got %+v, want the third column refused by the limit", r)
	}
	if rows := keptRows(t, e, fs); len(rows) != 2 || len(rows[0]) < 10 {
		t.Errorf("the log holds %v", rows)
	}
}

// TestRetriedPointDoesNotComeBackAsRejected: the mark of a retry has the time of the
// point, which lies in a file with later ones. By its times the mark's file is the
// older one; it must not be dropped before the point's.
func TestRetriedPointDoesNotComeBackAsRejected(t *testing.T) {
	var clock handClock
	fs := vfs.NewMem()
	e := open(t, fs, keepRejected, clock.option)
	defer closeEngine(t, e)
	req := request("good f=1 1", "good f=2i 2")
	req.RequestID = "r"
	if _, err := e.Write(context.Background(), req); err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprintf("rejected_points,database=db,id=r-2 %d", noon.UnixNano())
	clock.set(50 * time.Minute)
	write(t, e, "bad")
	flush(t, e)
	results, err := e.RetryRejected(context.Background(), "db", []engine.RejectedLine{
		{ID: "r-2", Time: noon.UnixNano(), Precision: engine.Nanosecond, Raw: "good f=2 2"},
	}, engine.RetryOptions{})
	if err != nil || results[0].Message != "" {
		t.Fatalf("the retry says %+v, %v", results, err)
	}
	flush(t, e)
	for _, after := range []time.Duration{55 * time.Minute, 65 * time.Minute, 109 * time.Minute} {
		clock.set(after)
		flush(t, e)
		if row := read(t, e, fs, engine.InternalDatabase)[key]; row["status"] != engine.StatusRetried {
			t.Errorf("%s after it was rejected, the point that was retried is %v", after, row)
		}
	}
	clock.set(3 * time.Hour)
	flush(t, e)
	if rows := keptRows(t, e, fs); len(rows) != 0 {
		t.Errorf("after their retention there are %v", rows)
	}
}

func TestRetryMeasuresTheRetentionPeriodFromNow(t *testing.T) {
	var clock handClock
	fs := vfs.NewMem()
	e := open(t, fs, keepRejected, clock.option)
	defer closeEngine(t, e)
	if err := e.CreateDatabase("db", time.Hour); err != nil {
		t.Fatal(err)
	}
	retry := func() engine.RetriedLine {
		t.Helper()
		results, err := e.RetryRejected(context.Background(), "db", []engine.RejectedLine{
			{ID: "r-1", Time: noon.UnixNano(), Precision: engine.Nanosecond, Raw: fmt.Sprintf("m f=1 %d", noon.UnixNano())},
		}, engine.RetryOptions{})
		if err != nil || len(results) != 1 {
			t.Fatalf("%+v, %v", results, err)
		}
		return results[0]
	}
	clock.set(7 * 24 * time.Hour)
	if r := retry(); !strings.Contains(r.Message, "outside the retention period") {
		t.Errorf("a database that keeps an hour takes a point of last week: %+v", r)
	}
	if err := e.SetRetention("db", 8*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if r := retry(); r.Message != "" {
		t.Errorf("a database that keeps eight days refuses a point of last week: %+v", r)
	}
	expect(t, e, fs, contents{fmt.Sprintf("m %d", noon.UnixNano()): {"f": 1.0}})
}
