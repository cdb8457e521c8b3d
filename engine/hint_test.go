package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
)

var noon = time.Date(2026, 11, 20, 12, 0, 30, 0, time.UTC)

func atNoon(o *engine.Options) { o.Now = func() time.Time { return noon } }

// TestHintsNameTheFix sends each line on its own to a table that has a column of every
// type since noon.
func TestHintsNameTheFix(t *testing.T) {
	e := open(t, vfs.NewMem(), atNoon)
	defer closeEngine(t, e)
	write(t, e, `home,room=hall temp=21,n=1i,u=1u,s="x",b=true 1`)
	for _, test := range []struct{ line, hint string }{
		{"home temp=21i", `field "temp" of table "home" is a float since 2026-11-20T12:00Z; this line has the integer 21i: write 21.0`},
		{"home temp=21u", `field "temp" of table "home" is a float since 2026-11-20T12:00Z; this line has the unsigned integer 21u: write 21.0`},
		{`home temp="21.5"`, `field "temp" of table "home" is a float since 2026-11-20T12:00Z; this line has the string "21.5": write 21.5`},
		{`home temp="hot"`, `field "temp" of table "home" is a float since 2026-11-20T12:00Z; this line has the string "hot": write a float, or write it to another field`},
		{"home n=7", `field "n" of table "home" is an integer since 2026-11-20T12:00Z; this line has the float 7.0: write 7i`},
		{"home n=7.5", `field "n" of table "home" is an integer since 2026-11-20T12:00Z; this line has the float 7.5: write an integer, or write it to another field`},
		{"home u=-7i", `field "u" of table "home" is an unsigned integer since 2026-11-20T12:00Z; this line has the integer -7i: write an unsigned integer, or write it to another field`},
		{"home s=t", `field "s" of table "home" is a string since 2026-11-20T12:00Z; this line has the boolean true: write "true"`},
		{"home b=1i", `field "b" of table "home" is a boolean since 2026-11-20T12:00Z; this line has the integer 1i: write true or false, or write it to another field`},
		{"home room=1", `column "room" of table "home" is a tag since 2026-11-20T12:00Z; this line has it among the fields: move it to the tags, or give the field another name`},
		{"home,temp=1 n=1i", `field "temp" of table "home" is a float since 2026-11-20T12:00Z; this line has it among the tags: move it to the fields, or give the tag another name`},
		{"home time=1", "a line's time stamp is its last item; give the column another name"},
		{"home x=1,x=2", "leave one of them"},
		{"home", "after table and tags comes one blank and at least one field=value"},
		{"home x=hot", `a string needs double quotes around it: field="text"`},
		{"home x=1 99999999999999999999", "check that the precision parameter is the unit of the time stamps"},
	} {
		r := write(t, e, test.line)
		if len(r.Errors) != 1 || r.Errors[0].Hint != test.hint {
			t.Errorf("%s: got %+v, want the hint %s", test.line, r.Errors, test.hint)
		}
	}
}

func TestHintNamesTheLineOfTheRequestThatBroughtTheType(t *testing.T) {
	e := open(t, vfs.NewMem(), atNoon)
	defer closeEngine(t, e)
	r := write(t, e, "# a comment", "new f=1", "new f=2i")
	want := `field "f" of table "new" is a float since line 2 of this request; this line has the integer 2i: write 2.0`
	if len(r.Errors) != 1 || r.Errors[0].Line != 3 || r.Errors[0].Hint != want {
		t.Errorf("got %+v, want line 3 and the hint %s", r.Errors, want)
	}
}

func TestPlainMessageHasTheWordingOfTheCloudServices(t *testing.T) {
	e := open(t, vfs.NewMem())
	defer closeEngine(t, e)
	r := write(t, e, "m f=1 123461000000000000000000000000", "m f=1i 1", "m f=1 1", ",x f=1")
	var got []string
	for _, e := range r.Errors {
		got = append(got, e.PlainMessage())
	}
	want := []string{
		"Unable to parse timestamp value '123461000000000000000000000000'",
		"invalid column type for column 'f', expected iox::column_type::field::integer, got iox::column_type::field::float",
		"Invalid measurement was provided",
	}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
	if !r.Errors[0].Syntax || r.Errors[1].Syntax {
		t.Errorf("the first fault is one of syntax, the second is not: %+v", r.Errors)
	}
}

func TestPointsOutsideTheRetentionPeriodAreRejected(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs, atNoon)
	defer closeEngine(t, e)
	if err := e.CreateDatabase("db", time.Hour); err != nil {
		t.Fatal(err)
	}
	req := engine.WriteRequest{Database: "db", Precision: engine.Second, AcceptPartial: true, Body: []byte(
		"m f=1 1795172431\nm f=2 1795172429\nm f=3\nm f=4 99999999999999\n")} // noon less 59:59 and 1:00:01
	r, err := e.Write(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	if r.Accepted != 2 || r.Rejected != 2 || r.Expired != 1 {
		t.Fatalf("got %+v, want 2 accepted, 2 rejected, 1 of them expired", r)
	}
	got := r.Errors[0]
	if got.Line != 2 || !got.Expired || got.Message != "timestamp 2026-11-20T11:00:29Z is outside the retention period of 1h" {
		t.Errorf("got %+v", got)
	}
	if r.Errors[1].Expired {
		t.Errorf("the fourth line has no valid time at all: %+v", r.Errors[1])
	}
	if err := e.SetRetention("db", 0); err != nil {
		t.Fatal(err)
	}
	if r, err := e.Write(context.Background(), req); err != nil || r.Accepted != 3 {
		t.Errorf("without a retention period: %+v, %v", r, err)
	}
}

func TestMissingDatabaseIsRefusedWhereItMustExist(t *testing.T) {
	e := open(t, vfs.NewMem())
	defer closeEngine(t, e)
	req := request("m f=1 1")
	req.MustExist = true
	if _, err := e.Write(context.Background(), req); !isNotFound(err) {
		t.Fatalf("got %v", err)
	}
	if names := e.Databases(); len(names) != 0 {
		t.Fatalf("the refused write left %v", names)
	}
	if err := e.CreateDatabase("db", 0); err != nil {
		t.Fatal(err)
	}
	if r, err := e.Write(context.Background(), req); err != nil || r.Accepted != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
}
