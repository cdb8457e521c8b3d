package partition

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/siltstone-db/siltstone/schema"
)

// The benchmarks work on TSBS-like batches of 10,000 rows: 1000 hosts with ten tags,
// ten fields that walk between 0 and 100, ten seconds apart.
const benchRows = 10_000

// tsbsBatch makes the n-th batch; its fields are integers, or floats of two decimals.
func tsbsBatch(n int, typ schema.ColumnType) *Batch {
	const hosts = 1000
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	b := new(Batch)
	b.Reset(testKey)
	for h := range hosts {
		var key []byte
		for tag := range schema.ColumnID(10) {
			distinct := []int{hosts, 9, 27, 100, 3, 2, 4, 20, 2, 3}[tag]
			key = AppendTag(key, tag+1, fmt.Appendf(nil, "value_of_%d_%d", tag, h%distinct))
		}
		b.Series = append(b.Series, key)
	}
	for f := range schema.ColumnID(10) {
		b.AddField(f+11, typ)
	}
	for r := range benchRows {
		at := testDay + int64(n*benchRows/hosts+r/hosts)*10e9%schema.NanosPerDay
		b.Time, b.Index = append(b.Time, at), append(b.Index, uint32(r%hosts))
		b.Range = b.Range.Include(at)
		for f := range b.Fields {
			bits := uint64(rng.IntN(101))
			if typ == schema.Float64 {
				bits = floatValue(float64(rng.IntN(10_001)) / 100).bits
			}
			b.Fields[f].Append(r, bits, nil)
		}
	}
	b.Finish()
	return b
}

func reportRows(b *testing.B, rowsPerLoop int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rowsPerLoop), "ns/row")
}

var benchTypes = map[string]schema.ColumnType{"integers": schema.Int64, "floats": schema.Float64}

func BenchmarkEncode(b *testing.B) {
	for name, typ := range benchTypes {
		b.Run(name, func(b *testing.B) {
			batches := []*Batch{tsbsBatch(0, typ)}
			var e Encoder
			size := 0
			b.ReportAllocs()
			for b.Loop() {
				size = len(e.Encode(batches))
			}
			reportRows(b, benchRows)
			b.ReportMetric(float64(size)/benchRows, "B/row")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, typ := range benchTypes {
		b.Run(name, func(b *testing.B) {
			record := new(Encoder).Encode([]*Batch{tsbsBatch(0, typ)})
			var d Decoder
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Decode(record, func(*Batch) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			reportRows(b, benchRows)
		})
	}
}

// BenchmarkAppend fills partitions with ten batches each.
func BenchmarkAppend(b *testing.B) {
	var batches []*Batch
	for n := range 10 {
		batches = append(batches, tsbsBatch(n, schema.Int64))
	}
	b.Run("batches of 10,000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p := New(testKey)
			for i, batch := range batches {
				p.Append(batch, schema.Seq(i+1))
			}
		}
		reportRows(b, len(batches)*benchRows)
	})
	b.Run("batches of 1", func(b *testing.B) {
		one := newBatch(batchRows(batches[0])[0])
		p := New(testKey)
		b.ReportAllocs()
		for b.Loop() {
			p.Append(one, 1)
		}
	})
}

func BenchmarkSorted(b *testing.B) {
	p := New(testKey)
	const batches = 20
	for n := range batches {
		p.Append(tsbsBatch(n, schema.Int64), schema.Seq(n+1))
	}
	var columns []schema.Column
	for id := range schema.ColumnID(20) {
		c := schema.Column{ID: id + 1, Name: fmt.Sprint("c", id+1), Type: schema.Tag}
		if id >= 10 {
			c.Type = schema.Int64
		}
		columns = append(columns, c)
	}
	layout := arrowLayout(columns)
	once := []*Snapshot{p.Snapshot()}
	for name, snaps := range map[string][]*Snapshot{"distinct": once, "all twice": append(once, once[0])} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for record := range Sorted(snaps, columns, layout, 128<<10, 0) {
					record.Release()
				}
			}
			reportRows(b, len(snaps)*batches*benchRows)
		})
	}
	b.Run("order only", func(b *testing.B) {
		for b.Loop() {
			sortRows(once, columns[:10])
		}
		reportRows(b, batches*benchRows)
	})
}

// BenchmarkSnapshot takes snapshots of a partition of ten columns in full batches.
func BenchmarkSnapshot(b *testing.B) {
	p := New(testKey)
	for n := range 20 {
		p.Append(tsbsBatch(n, schema.Int64), schema.Seq(n+1))
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Snapshot()
	}
}

// BenchmarkRank ranks the values of a tag that is another for each of a million series.
func BenchmarkRank(b *testing.B) {
	values := make([]string, 1_000_000)
	for i := range values {
		values[i] = fmt.Sprint("host_", i*7919%len(values))
	}
	snaps := []*Snapshot{{Tags: []TagColumn{{ID: 1, Values: values}}}}
	b.ReportAllocs()
	for b.Loop() {
		rankValues(snaps, 1)
	}
	reportRows(b, len(values))
}
