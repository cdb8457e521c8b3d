package engine

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/partition"
)

// reading is what came of a body: its log record, as it is decoded, and what was said.
type reading struct {
	Result  WriteResult
	Batches []partition.Batch
}

// readAndSeal reads a body as a request does; between its lines, each is called.
func readAndSeal(t *rapid.T, e *Engine, in *ingester, db string, body []byte, each func(*ingester)) reading {
	req := WriteRequest{Database: db, Body: body, Precision: Nanosecond, AcceptPartial: true, Now: 1}
	set := &writeSet{}
	in.begin(&req, e.catalog.Schema(), set)
	in.reader.Reset(body)
	for in.reader.Next() {
		each(in)
		in.line++
		if f := in.readLine(req.Precision, req.Now); f != nil {
			in.reject(f)
		}
	}
	for _, b := range set.batches {
		b.Finish()
	}
	if err := e.define(in, &req); err != nil {
		t.Fatal(err)
	}
	out := reading{Result: in.result}
	record, err := set.seal()
	if err != nil {
		t.Fatal(err)
	}
	if err := new(partition.Decoder).Decode(record, func(b *partition.Batch) error {
		copied := *b
		copied.Fields = append([]partition.Field(nil), b.Fields...)
		// A series that nobody remembers may be listed more than once.
		copied.Series, copied.Index = nil, nil
		for _, n := range b.Index {
			copied.Series = append(copied.Series, bytes.Clone(b.Series[n]))
		}
		out.Batches = append(out.Batches, copied)
		return nil
	}); err != nil && len(set.batches) > 0 {
		t.Fatal(err)
	}
	in.end()
	return out
}

// anyTags are tag sets, some of them in more than one spelling.
var anyTags = []string{
	",host=h0", ",host=h0", ",host=h1", ",host=h2", "", ",host=h0,rack=r1", ",rack=r1,host=h0", ",rack=r1", ",rack=r1,zone=z", ",zone=z,rack=r1,host=h0",
	`,host=a\ b`, ",host=h0,host=h1", ",host=,rack=r1", ",a=tag", ",rack=r1,rack=r1",
}

// anyBody makes lines of two tables that mostly go on as they did, and sometimes do not.
func anyBody(t *rapid.T) []byte {
	values := []string{"1i", "-22i", "123456789012i", "1", "-2.5", "0.125", "1e3", "true", "F", "7u", `"text"`, `"a b"`, "x", "", "1.2345678", "12345678.5"}
	fields := []string{"a", "b", "usage_user", "usage_guest_nice_of_all_cpus", `e\ f`}
	shape := map[string][]string{}
	var b bytes.Buffer
	for range rapid.IntRange(1, 40).Draw(t, "lines") {
		table := rapid.SampledFrom([]string{"cpu", "cpu", "cpu", "mem"}).Draw(t, "table")
		if len(shape[table]) == 0 || rapid.IntRange(0, 12).Draw(t, "change") == 0 {
			shape[table] = nil
			for range rapid.IntRange(1, 5).Draw(t, "fields") {
				shape[table] = append(shape[table], fields[rapid.IntRange(0, len(fields)-1).Draw(t, "field")]+"="+values[rapid.IntRange(0, len(values)-1).Draw(t, "value")])
			}
		}
		n := len(shape[table])
		if rapid.IntRange(0, 9).Draw(t, "fewer") == 0 {
			n = rapid.IntRange(1, n).Draw(t, "how many")
		}
		day := rapid.SampledFrom([]int64{0, 0, 0, 0, 86400e9}).Draw(t, "day")
		fmt.Fprintf(&b, "%s%s %s %d\n", table, rapid.SampledFrom(anyTags).Draw(t, "tags"), strings.Join(shape[table][:n], ","), day+int64(b.Len()))
	}
	if rapid.Bool().Draw(t, "tail") {
		b.WriteString("#" + strings.Repeat(" ", 64))
	}
	return b.Bytes()
}

// learners are ingesters of different memory; what they read makes the same batches.
var learners = []struct {
	name      string
	maxCached int64
	each      func(*ingester) // is called in front of each line
}{
	{"expects nothing", maxCachedBytes, func(in *ingester) {
		for _, table := range in.db.tables {
			table.forgetExpected()
		}
	}},
	{"learns", maxCachedBytes, func(*ingester) {}},
	{"knows no series", maxCachedBytes, func(in *ingester) { in.db.series, in.db.last = seriesMemory{}, nil }},
	{"forgets", tableOverhead + 2000, func(*ingester) {}},
	{"remembers nothing", 0, func(*ingester) {}},
}

// TestExpectedLinesMakeTheSameBatches: reading lines as a whole, and what an ingester remembers of
// series, changes nothing of what is stored and said.
func TestExpectedLinesMakeTheSameBatches(t *testing.T) {
	engines, ingesters := make([]*Engine, len(learners)), make([]*ingester, len(learners))
	for i, l := range learners {
		e, err := Open(Options{DataDir: "data", FS: vfs.NewMem(), PoolBytes: 1 << 30, Gen1Duration: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		engines[i], ingesters[i] = e, newIngester(e.ingesters)
		ingesters[i].maxCached = l.maxCached
	}
	databases := 0
	rapid.Check(t, func(t *rapid.T) {
		databases++
		db := fmt.Sprint("db", databases)
		for range rapid.IntRange(1, 3).Draw(t, "bodies") {
			body := anyBody(t)
			want := readAndSeal(t, engines[0], ingesters[0], db, body, learners[0].each)
			for i, l := range learners[1:] {
				got := readAndSeal(t, engines[i+1], ingesters[i+1], db, body, l.each)
				// Hints say when a column came to be.
				diff := cmp.Diff(want, got, cmp.AllowUnexported(LineError{}), cmp.Comparer(sameFloat), cmpopts.IgnoreFields(LineError{}, "Hint"))
				if diff != "" {
					t.Fatalf("body %q: what one that %s makes of it differs:\n%s", body, l.name, diff)
				}
			}
		}
	})
}

func sameFloat(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }
