package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/engine"
)

func smallestPool(o *engine.Options) { o.PoolBytes = engine.MinPoolBytes }

// TestSeriesBeyondWhatIsRememberedAreStored: of a first request with more new series
// than may be remembered, the others have keys of tags that are not defined yet.
func TestSeriesBeyondWhatIsRememberedAreStored(t *testing.T) {
	fs := vfs.NewMem()
	e := open(t, fs, smallestPool)
	defer closeEngine(t, e)
	const series = 10_000
	var lines []string
	for i := range series {
		line := fmt.Sprintf("m,b=%05d,a=%d,c=x v=%di %d", i, i%7, i, i)
		if i%2 == 1 { // the same in another order
			line = fmt.Sprintf("m,c=x,a=%d,b=%05d v=%di %d", i%7, i, i, i)
		}
		if i%1000 == 999 {
			lines = append(lines, fmt.Sprintf("m,rejected%d=1,a=1 v=bad", i))
		}
		lines = append(lines, line, strings.Replace(line, "v=", "w=", 1))
	}
	for request := range 2 {
		if r := write(t, e, lines...); r.Accepted != 2*series || r.Rejected != series/1000 {
			t.Fatalf("request %d: %d accepted, %d rejected", request, r.Accepted, r.Rejected)
		}
		got := read(t, e, fs, "db")
		if len(got) != series {
			t.Fatalf("request %d: there are %d points", request, len(got))
		}
		for i := range int64(series) {
			key := fmt.Sprintf("m,a=%d,b=%05d,c=x %d", i%7, i, i)
			if p := got[key]; p["v"] != i || p["w"] != i {
				t.Fatalf("request %d: %s is %v", request, key, p)
			}
		}
	}
	if db, _ := e.Schema().Database("db"); len(db.Tables()[0].Columns) != 5 {
		t.Errorf("the columns are %v", db.Tables()[0].Columns)
	}
}

func TestRequestThatTakesTooMuchToReadIsRefusedWhole(t *testing.T) {
	e := open(t, vfs.NewMem(), smallestPool)
	defer closeEngine(t, e)
	var body strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&body, "t%d v=1 1\n", i)
	}
	_, err := e.Write(context.Background(), request(body.String()))
	if !errors.Is(err, engine.ErrTooLarge) || !strings.Contains(err.Error(), "split the request") {
		t.Fatalf("%v, want ErrTooLarge with a hint", err)
	}
	if n := e.Schema().TableCount(); n != 0 {
		t.Errorf("%d tables are left of it", n)
	}
	// All room is back, and nothing is remembered of tables that do not exist.
	for i := range 50 {
		if r := write(t, e, fmt.Sprintf("t%d v=%di 1", i, i)); r.Rejected != 0 {
			t.Fatalf("%v", r.Errors)
		}
	}
}
