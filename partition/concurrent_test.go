package partition

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/siltstone-db/siltstone/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// writtenRow is row number i of the test below. Columns come and go in stretches, so
// that snapshots meet columns that are behind their chunk.
func writtenRow(i int) row {
	r := row{map[schema.ColumnID]string{1: fmt.Sprint("host_", i%7)}, testDay + int64(i), map[schema.ColumnID]value{
		3: {schema.Int64, uint64(i), ""},
	}}
	if i%3 == 0 {
		r.fields[7] = value{schema.Bool, uint64(i / 3 % 2), ""}
	}
	if i/100%2 == 0 {
		r.fields[2] = floatValue(float64(i) / 2)
	}
	if i/150%3 == 1 {
		r.fields[6] = value{schema.String, 0, fmt.Sprint("text ", i)}
		r.tags[4] = fmt.Sprint("region_", i%3)
	}
	return r
}

// TestSnapshotsNeverChange has one writer and several readers; each snapshot must
// hold exactly the first rows written, when it is taken and when the writer is done
// (P2). The race detector looks for shared words.
func TestSnapshotsNeverChange(t *testing.T) {
	const rows, readers = 6000, 3
	p := New(testKey)
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		defer close(done)
		b := new(Batch)
		for at, n := 0, 1; at < rows; at, n = at+n, n%97+1 {
			n = min(n, rows-at)
			batch := make([]row, n)
			for i := range batch {
				batch[i] = writtenRow(at + i)
			}
			fill(b, testKey, batch, false)
			p.Append(b, schema.Seq(at+1))
		}
	})
	for range readers {
		wg.Go(func() {
			var kept []*Snapshot
			for taken := 0; ; taken++ {
				s := p.Snapshot()
				if taken%10 == 0 {
					kept = append(kept, s)
				}
				checkWritten(t, s)
				select {
				case <-done:
					for _, s := range kept {
						checkWritten(t, s)
					}
					return
				default:
				}
			}
		})
	}
	wg.Wait()
	final := p.Freeze()
	checkWritten(t, final)
	if final.Rows != rows {
		t.Errorf("%d rows of %d", final.Rows, rows)
	}
}

func checkWritten(t *testing.T, s *Snapshot) {
	got := snapshotRows(s)
	if len(got) != s.Rows {
		t.Errorf("%d rows, says %d", len(got), s.Rows)
	}
	for i := range got {
		if diff := diffRows([]row{writtenRow(i)}, got[i:i+1]); diff != "" {
			t.Errorf("snapshot of %d rows: row %d: %s", s.Rows, i, diff)
			return
		}
	}
}

// TestSortedReadsWhileWritten sorts snapshots of a partition that is being written to.
func TestSortedReadsWhileWritten(t *testing.T) {
	const rows = 3000
	p := New(testKey)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range rows {
			p.Append(newBatch(writtenRow(i)), schema.Seq(i+1))
		}
	})
	layout := arrowLayout(testColumns)
	for s := p.Snapshot(); s.Rows < rows; s = p.Snapshot() {
		seen := make([]bool, s.Rows)
		for record := range Sorted([]*Snapshot{s}, testColumns, layout, 500, 0) {
			got, err := recordRows(record, testColumns)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range got {
				i := int(r.time - testDay)
				if diff := diffRows([]row{writtenRow(i)}, []row{r}); diff != "" || seen[i] {
					t.Fatalf("row %d of %d (seen before: %t): %s", i, s.Rows, seen[i], diff)
				}
				seen[i] = true
			}
			record.Release()
		}
		if slices.Contains(seen, false) {
			t.Fatalf("a row of %d is missing", s.Rows)
		}
	}
	wg.Wait()
}
