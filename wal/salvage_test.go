package wal

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// wholeLog returns a log of several segments that was closed, and its records.
func wholeLog(t testing.TB) (map[string]string, []record) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	l, _ := mustOpen(t, testOptions(fs), 0)
	var want []record
	for i := range 24 {
		payload := payloadOf(i, 40+i*37%700)
		want = append(want, record{mustCommit(t, l, payload), payload})
		settlePrepare(l)
	}
	mustClose(t, l)
	all := files(t, fs)
	if len(all) < 3 {
		t.Fatalf("the log has %d segments", len(all))
	}
	return all, want
}

func salvageAll(t testing.TB, contents map[string]string) (*Salvage, []record) {
	t.Helper()
	s, err := OpenSalvage(testOptions(memWith(t, contents)))
	if err != nil {
		t.Fatal(err)
	}
	var got []record
	err = s.Records(schema.SeqRange{Min: 1, Max: ^schema.Seq(0)}, func(seq schema.Seq, payload []byte) error {
		got = append(got, record{seq, string(payload)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, got
}

func TestSalvageOfAnIntactLogYieldsAllAndFindsNoDamage(t *testing.T) {
	contents, want := wholeLog(t)
	s, got := salvageAll(t, contents)
	if !slices.Equal(got, want) {
		t.Fatalf("got %d records, want %d", len(got), len(want))
	}
	if len(s.Damage) != 0 || s.Last != want[len(want)-1].seq {
		t.Fatalf("damage %+v, last %d", s.Damage, s.Last)
	}
}

// placed is where a record lies.
type placed struct {
	file     string
	from, to int64
	seq      schema.Seq
}

func placesOf(t testing.TB, contents map[string]string) []placed {
	t.Helper()
	fs := memWith(t, contents)
	s, err := OpenSalvage(testOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	var all []placed
	for _, r := range s.records {
		name := segmentName(s.segments[r.segment].id)
		h, _ := decodeRecordHeader([]byte(contents[name])[r.off:][:recordHeaderSize])
		all = append(all, placed{name, r.off, r.off + recordHeaderSize + int64(padded(int(h.length))), r.seq})
	}
	return all
}

func flipped(contents map[string]string, file string, off int64, bit byte) map[string]string {
	b := []byte(contents[file])
	b[off] ^= bit
	damaged := maps.Clone(contents)
	damaged[file] = string(b)
	return damaged
}

func without(records []record, seq schema.Seq) []record {
	return slices.DeleteFunc(slices.Clone(records), func(r record) bool { return r.seq == seq })
}

func TestOneFlippedByteCostsOneRecord(t *testing.T) {
	contents, want := wholeLog(t)
	for i, p := range placesOf(t, contents) {
		for off := p.from; off < p.to; off += 1 + int64(i%3)*5 {
			s, got := salvageAll(t, flipped(contents, p.file, off, 1<<(off%8)))
			if !slices.Equal(got, without(want, p.seq)) {
				t.Fatalf("record %d, byte %d: got %d of %d records", p.seq, off, len(got), len(want))
			}
			missing := s.Missing(schema.SeqRange{Min: 1, Max: want[len(want)-1].seq})
			if !slices.Equal(missing, []schema.SeqRange{{Min: p.seq, Max: p.seq}}) {
				t.Fatalf("record %d, byte %d: %v are missing", p.seq, off, missing)
			}
			if len(s.Damage) != 1 || s.Damage[0].Offset != p.from {
				t.Fatalf("record %d at %d: damage %+v", p.seq, p.from, s.Damage)
			}
		}
	}
}

func TestADamagedSegmentHeaderCostsNoRecord(t *testing.T) {
	contents, want := wholeLog(t)
	for _, file := range slices.Sorted(maps.Keys(contents)) {
		for off := range int64(segmentHeaderSize) {
			damaged := flipped(contents, file, off, 1<<(off%8))
			if _, got := salvageAll(t, damaged); !slices.Equal(got, want) {
				t.Fatalf("%s, byte %d: got %d of %d records", file, off, len(got), len(want))
			}
		}
	}
}

func TestAMissingSegmentCostsItsRecords(t *testing.T) {
	contents, want := wholeLog(t)
	places := placesOf(t, contents)
	for _, file := range slices.Sorted(maps.Keys(contents)) {
		left := maps.Clone(contents)
		delete(left, file)
		lost := func(r record) bool {
			return slices.ContainsFunc(places, func(p placed) bool { return p.file == file && p.seq == r.seq })
		}
		if _, got := salvageAll(t, left); !slices.Equal(got, slices.DeleteFunc(slices.Clone(want), lost)) {
			t.Fatalf("without %s: %d records", file, len(got))
		}
	}
}

func TestACutOffSegmentKeepsWhatIsBeforeTheCut(t *testing.T) {
	contents, want := wholeLog(t)
	for _, p := range placesOf(t, contents) {
		cut := maps.Clone(contents)
		cut[p.file] = cut[p.file][:(p.from+p.to)/2]
		_, got := salvageAll(t, cut)
		var kept []record
		for i, q := range placesOf(t, contents) {
			if q.file != p.file || q.to <= p.from {
				kept = append(kept, want[i])
			}
		}
		if !slices.Equal(got, kept) {
			t.Fatalf("%s cut within record %d: got %d records, want %d", p.file, p.seq, len(got), len(kept))
		}
	}
}

// TestSalvageAgreesWithOpen compares the two over logs whose end was torn, carried over
// or recycled: what Open yields, salvage yields too, and nothing else.
func TestSalvageAgreesWithOpen(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+20; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			l, _ := mustOpen(t, testOptions(fs), 0)
			i := 0
			for round := range 4 {
				for range 6 {
					mustCommit(t, l, payloadOf(i, 30+i*53%900))
					settlePrepare(l)
					i++
				}
				if round == 1 {
					if err := l.Trim(5); err != nil {
						t.Fatal(err)
					}
				}
				abandon(l)
				crashed := fs.CrashClone(crashConfig(50, seed+uint64(round)))
				contents := files(t, crashed)
				s, got := salvageAll(t, contents)
				from := schema.Seq(0)
				if round > 0 {
					from = 5
				}
				next, want := mustOpen(t, testOptions(crashed), from)
				got = slices.DeleteFunc(got, func(r record) bool { return r.seq <= from })
				if !slices.Equal(got, want) {
					t.Fatalf("round %d: salvage yields %d records, Open %d", round, len(got), len(want))
				}
				if len(s.Missing(schema.SeqRange{Min: from + 1, Max: s.Last})) > 0 {
					t.Fatalf("round %d: %v are missing", round, s.Missing(schema.SeqRange{Min: from + 1, Max: s.Last}))
				}
				fs, l = crashed, next
			}
			abandon(l)
		})
	}
}

func FuzzSalvage(f *testing.F) {
	contents, want := wholeLog(f)
	names := slices.Sorted(maps.Keys(contents))
	f.Add(uint8(0), uint16(70), []byte{1, 2, 3})
	f.Add(uint8(1), uint16(0), make([]byte, 64))
	f.Fuzz(func(t *testing.T, file uint8, off uint16, bytes []byte) {
		name := names[int(file)%len(names)]
		b := []byte(contents[name])
		copy(b[int(off)%len(b):], bytes)
		damaged := maps.Clone(contents)
		damaged[name] = string(b)
		_, got := salvageAll(t, damaged)
		for _, r := range got {
			if i := int(r.seq) - 1; i < 0 || i >= len(want) || want[i] != r {
				t.Fatalf("record %d was never written so", r.seq)
			}
		}
	})
}
