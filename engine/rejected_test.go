package engine_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
)

func keepRejected(o *engine.Options) { o.RejectedRetention = time.Hour }

func TestRejectedPointsAreKept(t *testing.T) {
	fs := vfs.NewCrashableMem()
	e := open(t, fs, atNoon, keepRejected)
	req := request("good f=1 1", "", `bad, line="x\y"`, "good f=2i 2", "raw\xff\x00 f=")
	req.RequestID, req.Token, req.Precision = "r 1", "tok", engine.Auto
	if _, err := e.Write(context.Background(), req); err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprint(noon.UnixNano())
	row := func(line, column int, raw string, quoted bool, reason, hint string) map[string]any {
		return map[string]any{
			"line": int64(line), "line_column": int64(column), "points": int64(1), "raw": raw, "quoted": quoted, "truncated": false, "reason": reason, "hint": hint,
			"token": "tok", "precision": "auto", "status": "rejected",
		}
	}
	want := contents{
		"rejected_points,database=db,id=r 1-3 " + at: row(3, 5, `bad, line="x\y"`, false, "Tag set malformed: expected tag key and value, got ``",
			`write tags as ,key=value without blanks; put a backslash before a blank, comma or equals sign in them`),
		"rejected_points,database=db,id=r 1-4 " + at: row(4, 10, "good f=2i 2", false,
			"invalid column type for column 'f', expected iox::column_type::field::float, got iox::column_type::field::integer",
			`field "f" of table "good" is a float since line 1 of this request; this line has the integer 2i: write 2.0`),
		"rejected_points,database=db,id=r 1-5 " + at: row(5, 1, `"raw\xff\x00 f="`, true, "Names and strings must be valid UTF-8 without NUL characters", "encode the text as UTF-8"),
	}
	check := func(where string) {
		t.Helper()
		if got := read(t, e, fs, engine.InternalDatabase); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s the log holds\n%v\nwant\n%v", where, got, want)
		}
	}
	check("before a crash")
	crashed := fs.CrashClone(vfs.CrashCloneCfg{})
	closeEngine(t, e)
	fs = crashed
	e = open(t, fs, atNoon, keepRejected)
	defer closeEngine(t, e)
	check("after a crash")
	lines := []engine.RejectedLine{
		{ID: "r 1-3", Time: noon.UnixNano(), Raw: "good,t=a f=3,s=\"two\nlines\""},
		{ID: "r 1-4", Time: noon.UnixNano(), Raw: "good f=2i 2"},
		{ID: "r 1-5", Time: noon.UnixNano(), Raw: `"good,t=\x62 f=5 5"`, Quoted: true},
		{ID: "r 1-6", Time: noon.UnixNano(), Raw: "good f=6 6", Truncated: true},
	}
	got, err := e.RetryRejected(context.Background(), "db", lines, engine.RetryOptions{})
	if err != nil || len(got) != 4 || got[0].Message != "" || got[1].Message == "" || got[1].Hint == "" || got[2].Message != "" || got[3].Message == "" {
		t.Fatalf("the retry says %+v, %v", got, err)
	}
	expect(t, e, fs, contents{"good 1000000000": {"f": 1.0}, "good,t=a " + at: {"f": 3.0, "s": "two\nlines"}, "good,t=b 5000000000": {"f": 5.0}})
	want["rejected_points,database=db,id=r 1-3 "+at]["status"] = "retried"
	want["rejected_points,database=db,id=r 1-5 "+at]["status"] = "retried"
	check("after a retry")
}

func TestRejectedPointsAreKeptOnlyWhereTheyAreAskedFor(t *testing.T) {
	e := open(t, vfs.NewMem())
	defer closeEngine(t, e)
	write(t, e, "m f=1 1", "nonsense")
	if names := e.Databases(); !reflect.DeepEqual(names, []string{"db"}) {
		t.Errorf("the databases are %v", names)
	}
}

// TestEveryRejectedPointIsKeptOfABodyOfNothingElse sends more lines than have rows of
// their own.
func TestEveryRejectedPointIsKeptOfABodyOfNothingElse(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs, keepRejected)
	defer closeEngine(t, e)
	const lines = 20_000
	req := request(strings.Repeat("nonsense, that is no line protocol at all, whatever one may think of it: "+strings.Repeat("x", 150)+"\n", lines))
	r, err := e.Write(context.Background(), req)
	if err != nil || r.Rejected != lines || len(r.Errors) != engine.MaxReportedErrors {
		t.Fatalf("%d rejected, %d reported, %v", r.Rejected, len(r.Errors), err)
	}
	points := int64(0)
	for _, row := range read(t, e, fs, engine.InternalDatabase) {
		points += row["points"].(int64)
		if got := int64(strings.Count(row["raw"].(string), "nonsense")); got != row["points"] {
			t.Errorf("a row for %v points has %d lines", row["points"], got)
		}
	}
	if points != lines {
		t.Errorf("%d lines are kept, want %d", points, lines)
	}
}

func TestRejectedLogIsBoundedInTimeAndSize(t *testing.T) {
	fs := vfs.NewMem()
	var clock handClock
	e := open(t, fs, keepRejected, clock.option, func(o *engine.Options) { o.RejectedMaxBytes = 20 << 10 })
	defer closeEngine(t, e)
	reject := func(id string) {
		req := request("nonsense " + id)
		req.RequestID = id
		if _, err := e.Write(context.Background(), req); err != nil {
			t.Fatal(err)
		}
		flush(t, e)
	}
	reject("old")
	clock.set(2 * time.Hour)
	reject("new")
	if got := read(t, e, fs, engine.InternalDatabase); len(got) != 1 {
		t.Errorf("after its retention an old point is still there: %v", got)
	}
	size := int64(0)
	for i := range 30 {
		clock.set(2*time.Hour + time.Duration(i)*time.Second)
		reject(fmt.Sprint(i))
	}
	for _, f := range parquetFiles(t, fs) {
		info, err := fs.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 20<<10 {
		t.Errorf("the log has %d bytes", size)
	}
	got := read(t, e, fs, engine.InternalDatabase)
	if len(got) == 0 || len(got) >= 30 || got[fmt.Sprintf("rejected_points,database=db,id=29-1 %d", noon.Add(2*time.Hour+29*time.Second).UnixNano())] == nil {
		t.Errorf("the newest points should be left, there are %v", got)
	}
}

func TestLongLinesAreKeptInPart(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs, keepRejected, atNoon)
	defer closeEngine(t, e)
	write(t, e, "m "+strings.Repeat("é", 100_000), "m "+strings.Repeat(`\`, 100_000), strings.Repeat("\xff", 100_000)+" f=1")
	got := read(t, e, fs, engine.InternalDatabase)
	if len(got) != 3 {
		t.Fatalf("%d lines are kept", len(got))
	}
	for key, fields := range got {
		if fields["truncated"] != true {
			t.Errorf("%s is not marked", key)
		}
		if raw := fields["raw"].(string); len(raw) < 32_000 || len(raw) > 64<<10 {
			t.Errorf("%s: %d bytes are kept", key, len(raw))
		}
	}
}

func TestLimitsLeaveRoomForTheRejectedLog(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs, keepRejected, func(o *engine.Options) { o.Limits.Databases, o.Limits.Tables = 1, 1 })
	defer closeEngine(t, e)
	r := write(t, e, "m f=1 1", "other f=1 1")
	if r.Accepted != 1 || r.Rejected != 1 || !r.Errors[0].Limit {
		t.Fatalf("got %+v, want the second table refused by the limit", r)
	}
	if got := read(t, e, fs, engine.InternalDatabase); len(got) != 1 {
		t.Errorf("the log holds %v", got)
	}
}
