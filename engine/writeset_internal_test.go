package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestSetsOfUsualBodiesAreKept: to make the columns of each large body anew costs a quarter of
// the write path.
func TestSetsOfUsualBodiesAreKept(t *testing.T) {
	e, err := Open(Options{DataDir: "data", FS: vfs.NewMem(), PoolBytes: 1 << 30, Gen1Duration: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for name, line := range map[string]string{
		"wide":  "cpu,host=h%[1]d,region=eu-central-1,rack=51 a=58i,b=2i,c=24i,d=61i,e=22i,f=63i,g=6i,h=44i,i=80i,j=38i %[2]d\n",
		"short": "m,host=h%d v=1 %d\n",
	} {
		for _, lines := range []int{10, 1000, 10_000, 40_000} {
			var body strings.Builder
			for n := range lines {
				fmt.Fprintf(&body, line, n%4000, n)
			}
			req := WriteRequest{Database: name, Body: []byte(body.String()), Precision: Nanosecond}
			w := writing{engine: e, req: &req, set: newWriteSet(body.Len()), room: room{admission: e.requests, isGranted: true}}
			if _, err := w.prepare(); err != nil {
				t.Fatal(err)
			}
			if w.set.isLarge() {
				t.Errorf("%d %s lines, %d bytes: the set counts %d bytes and is not kept", lines, name, body.Len(), w.set.built)
			}
			w.end()
		}
	}
}
