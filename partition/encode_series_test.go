package partition

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/schema"
)

// oneRowEach is a batch with a row for each key.
func oneRowEach(keys [][]byte) *Batch {
	b := newBatch()
	for i, key := range keys {
		b.Series = append(b.Series, key)
		b.Index = append(b.Index, uint32(i))
		b.Time = append(b.Time, testDay)
		b.Range = b.Range.Include(testDay)
	}
	return b
}

// mustKeepSeries encodes and decodes a batch, and compares its series byte by byte.
func mustKeepSeries(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, e *Encoder, d *Decoder, b *Batch,
) []byte {
	t.Helper()
	record := e.Encode([]*Batch{b})
	err := d.Decode(record, func(got *Batch) error {
		if len(got.Series) != len(b.Series) {
			return fmt.Errorf("%d series, want %d", len(got.Series), len(b.Series))
		}
		for i := range b.Series {
			if !bytes.Equal(got.Series[i], b.Series[i]) {
				return fmt.Errorf("series %d is %x, want %x", i, got.Series[i], b.Series[i])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return record
}

// TestSeriesByTagsAreTheSame: whatever the keys are, they come back as they were, in any order of
// records through one encoder and decoder.
func TestSeriesByTagsAreTheSame(t *testing.T) {
	var e Encoder
	var d Decoder
	versions := make(map[byte]int)
	rapid.Check(t, func(t *rapid.T) {
		series := rapid.SampledFrom([]int{1, 15, 16, 17, 40, 300, 700}).Draw(t, "series")
		ids := rapid.SliceOfNDistinct(rapid.Uint32Range(1, 400), 0, 4, rapid.ID[uint32]).Draw(t, "tags")
		distinct := rapid.SliceOfN(rapid.SampledFrom([]int{1, 2, 16, 17, 250, 1000}), len(ids), len(ids)).Draw(t, "values of each")
		long := rapid.SampledFrom([]string{"", "x", "eu-central-1", "a value that is longer than the eight bytes at either end of it "}).Draw(t, "prefix")
		odd := rapid.IntRange(0, 3*series).Draw(t, "a series without its first tag")
		keys := make([][]byte, series)
		for i := range keys {
			tags := make(map[schema.ColumnID]string)
			for k, id := range ids {
				if n := (i * 7919) % distinct[k]; n > 0 || k > 0 {
					tags[schema.ColumnID(id)] = fmt.Sprint(long, n, long)
				} else {
					tags[schema.ColumnID(id)] = ""
				}
			}
			if i == odd && len(ids) > 0 {
				delete(tags, schema.ColumnID(ids[0]))
			}
			keys[i] = seriesKey(row{tags: tags})
		}
		record := mustKeepSeries(t, &e, &d, oneRowEach(keys))
		versions[record[0]]++
	})
	if versions[firstVersion] == 0 || versions[encodingVersion] == 0 {
		t.Errorf("records by version: %v", versions)
	}
}

// TestSeriesThatDoNotFitColumns are written key by key.
func TestSeriesThatDoNotFitColumns(t *testing.T) {
	long := bytes.Repeat([]byte("long"), maxMeanKey)
	var keys, short [][]byte
	for i := range 20 {
		keys = append(keys, AppendTag(nil, 1, append(long, byte('a'+i))))
		short = append(short, AppendTag(nil, 1, []byte{byte('a' + i)}))
	}
	few := oneRowEach(short)
	few.Time, few.Index = few.Time[:1], few.Index[:1] // more series than rows
	for name, b := range map[string]*Batch{"long keys": oneRowEach(keys), "fewer rows": few, "few": oneRowEach(short[:minColumnSeries-1])} {
		if record := mustKeepSeries(t, new(Encoder), new(Decoder), b); record[0] != firstVersion {
			t.Errorf("%s: version %d", name, record[0])
		}
	}
	without := mustKeepSeries(t, new(Encoder), new(Decoder), oneRowEach(make([][]byte, 20)))
	if without[0] != encodingVersion {
		t.Errorf("series without tags: version %d", without[0])
	}
}

// columnsBody is a body of one batch with 16 rows, and series as given from their form on.
func columnsBody(series int, rest ...byte) []byte {
	body := []byte{1, 1, 2, 0, 16}
	body = binary.AppendUvarint(body, uint64(series))
	body = append(body, rest...)
	body = append(body, make([]byte, 9)...) // index: all 0
	body = append(body, 0)
	body = binary.LittleEndian.AppendUint64(body, 0) // times: all 0
	return append(body, 0)
}

func TestDecodeRefusesColumns(t *testing.T) {
	record := func(body []byte) []byte {
		r := plain(body...)
		r[0] = encodingVersion
		return r
	}
	codes := make([]byte, 8)
	good := append([]byte{seriesAsColumns, 1, 5, 2, 1, 1, 'a', 'b'}, codes...)
	if _, err := decodeAll(record(columnsBody(16, good...))); err != nil {
		t.Fatalf("the body that the cases vary is bad itself: %v", err)
	}
	bad := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return columnsBody(16, b...)
	}
	for name, body := range map[string][]byte{
		"an unknown form":                 bad(0, 2),
		"no tags":                         columnsBody(16, seriesAsColumns, 0),
		"more tags than there can be":     columnsBody(16, seriesAsColumns, 100),
		"a tag 0":                         bad(2, 0),
		"no values":                       columnsBody(16, seriesAsColumns, 1, 5, 0),
		"more values than series":         columnsBody(16, append([]byte{seriesAsColumns, 1, 5, 17}, make([]byte, 40)...)...),
		"a number without a value":        bad(8, 2),
		"a number behind the last":        bad(8, 0x20),
		"a value beyond the record":       bad(4, 100),
		"more series than rows":           columnsBody(17, append([]byte{seriesAsColumns, 1, 5, 1, 1, 'a'}, codes...)...),
		"no series":                       columnsBody(0, append([]byte{seriesAsColumns, 1, 5, 1, 1, 'a'}, codes...)...),
		"a tag twice":                     columnsBody(16, seriesAsColumns, 2, 5, 1, 1, 'a', 5, 1, 1, 'a'),
		"tags in reverse":                 columnsBody(16, seriesAsColumns, 2, 5, 1, 1, 'a', 4, 1, 1, 'a'),
		"the size of a value is too much": columnsBody(16, seriesAsColumns, 1, 5, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'),
	} {
		if got, err := decodeAll(record(body)); !errors.Is(err, ErrBadEncoding) {
			t.Errorf("%s is accepted: %v %v", name, got, err)
		}
	}
	if _, err := decodeAll(record(columnsBody(16, seriesAsColumns, 2, 5, 1, 1, 'a', 6, 1, 1, 'a'))); err != nil {
		t.Errorf("two tags: %v", err)
	}
}

// TestManySeriesOfLongKeysAreRefused: keys that are put together are bounded, however short their record is.
func TestManySeriesOfLongKeysAreRefused(t *testing.T) {
	const series = 4000
	body := []byte{1, 1, 2, 0}
	body = binary.AppendUvarint(body, series)
	body = binary.AppendUvarint(body, series)
	body = append(body, seriesAsColumns, 1, 5, 1)
	body = binary.AppendUvarint(body, maxColumnKeys/series+1)
	body = append(body, make([]byte, maxColumnKeys/series+1)...)
	record := plain(body...)
	record[0] = encodingVersion
	if got, err := decodeAll(record); !errors.Is(err, ErrBadEncoding) {
		t.Errorf("accepted: %d batches, %v", len(got), err)
	}
}

// BenchmarkSeriesOnce encodes and decodes batches whose series come once each.
func BenchmarkSeriesOnce(b *testing.B) {
	var keys [][]byte
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 10_000 {
		tags := make(map[schema.ColumnID]string)
		region := fmt.Sprint("eu-central-", rng.IntN(9))
		for id, value := range []string{
			fmt.Sprint("host_", i), region, region + string('a'+rune(rng.IntN(3))), fmt.Sprint(rng.IntN(100)), fmt.Sprintf("Ubuntu1%d.10", rng.IntN(3)), "x64",
			[]string{"SF", "NYC", "CHI", "LON"}[rng.IntN(4)], fmt.Sprint(rng.IntN(20)), fmt.Sprint(rng.IntN(2)), []string{"test", "production", "staging"}[rng.IntN(3)],
		} {
			tags[schema.ColumnID(id+1)] = value
		}
		keys = append(keys, seriesKey(row{tags: tags}))
	}
	batches := []*Batch{oneRowEach(keys)}
	b.Run("encode", func(b *testing.B) {
		var e Encoder
		size := 0
		for b.Loop() {
			size = len(e.Encode(batches))
		}
		reportRows(b, len(keys))
		b.ReportMetric(float64(size)/float64(len(keys)), "B/row")
	})
	b.Run("decode", func(b *testing.B) {
		record := new(Encoder).Encode(batches)
		var d Decoder
		for b.Loop() {
			if err := d.Decode(record, func(*Batch) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
		reportRows(b, len(keys))
	})
}
