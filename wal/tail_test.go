package wal

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fillers are what may be found behind the part of a write that reached the disk.
var fillers = map[string]func(n int, whole string) string{
	"cut":      func(int, string) string { return "" },
	"zeros":    func(n int, _ string) string { return strings.Repeat("\x00", n) },
	"garbage":  func(n int, _ string) string { return payloadOf(n, n+100)[:n] },
	"recycled": recycledFiller,
}

// recycledFiller is the same records as an earlier segment held them.
func recycledFiller(n int, whole string) string {
	old := []byte(whole)
	for i := 0; i+recordHeaderSize <= len(old); i += recordAlign {
		if h, ok := decodeRecordHeader(old[i:]); ok {
			h.segment--
			copy(old[i:], h.append(nil))
		}
	}
	return string(old[len(old)-n:])
}

func TestEveryTornEndIsCutOffAndNothingElse(t *testing.T) {
	groupings := map[string][][]string{
		"one group":    {{"torn one", strings.Repeat("torn two ", 9), "torn three"}},
		"three groups": {{"torn one"}, {strings.Repeat("torn two ", 9)}, {"torn three"}},
	}
	for grouping, groups := range groupings {
		for filler, fill := range fillers {
			t.Run(grouping+"/"+filler, func(t *testing.T) {
				b := newBuilder(t)
				b.group("one", "two")
				b.switchSegment()
				b.group("three")
				b.group("four")
				acked := b.ends[1]
				for _, g := range groups {
					b.group(g...)
				}
				contents, name := b.files(), segmentName(2)
				whole := contents[name]
				for at := acked; at <= int64(len(whole)); at++ {
					contents[name] = whole[:at] + fill(len(whole)-int(at), whole)
					checkTornEnd(t, contents, b.ends, whole, at)
				}
			})
		}
	}
}

// checkTornEnd opens a log of which the last segment should hold whole, but was
// torn at an offset.
func checkTornEnd(t *testing.T, contents map[string]string, ends []int64, whole string, at int64) {
	t.Helper()
	got := contents[segmentName(2)]
	intact := 2 // records of the first segment
	for _, end := range ends {
		if int64(len(got)) < end || got[:end] != whole[:end] { // a filler may complete the padding
			break
		}
		intact++
	}
	fs := memWith(t, contents)
	l, first := mustOpen(t, testOptions(fs), 0)
	if len(first) != intact {
		t.Fatalf("torn at %d: %d records, want %d", at, len(first), intact)
	}
	abandon(l)
	// The torn records must not come back, even when the same bytes are written again.
	l, second := mustOpen(t, testOptions(fs), 0)
	if !slices.Equal(first, second) {
		t.Fatalf("torn at %d: the second recovery differs: %v, %v", at, first, second)
	}
	mustCommit(t, l, "torn one")
	abandon(l)
	l, third := mustOpen(t, testOptions(fs), 0)
	if len(third) != intact+1 || third[intact].payload != "torn one" {
		t.Fatalf("torn at %d: got %v after another commit", at, third)
	}
	mustClose(t, l)
}

// smallLog is a log of two segments with several groups each.
func smallLog(t *testing.T, closed bool) (contents map[string]string, want []record, lastGroup int) {
	b := newBuilder(t)
	b.group("one")
	b.group("two", "three")
	b.switchSegment()
	b.group("four", "five")
	b.group("six")
	b.group("seven", "eight")
	if closed {
		b.mark()
	}
	for i, p := range strings.Fields("one two three four five six seven eight") {
		want = append(want, record{1 + schemaSeq(i), p})
	}
	return b.files(), want, 2
}

func TestEveryFlippedBitIsFoundOrHarmless(t *testing.T) {
	for _, closed := range []bool{true, false} {
		t.Run(fmt.Sprintf("closed=%v", closed), func(t *testing.T) {
			contents, want, lastGroup := smallLog(t, closed)
			refused, harmless, shorter := 0, 0, 0
			for _, name := range slices.Sorted(maps.Keys(contents)) {
				whole := contents[name]
				for bit := range len(whole) * 8 {
					flipped := []byte(whole)
					flipped[bit/8] ^= 1 << (bit % 8)
					contents[name] = string(flipped)
					l, got, err := openAll(testOptions(memWith(t, contents)), 0)
					var corrupt *CorruptionError
					switch {
					case errors.As(err, &corrupt):
						refused++
					case err != nil:
						t.Fatalf("%s bit %d: %v", name, bit, err)
					case slices.Equal(got, want):
						harmless++
					case !closed && isPrefix(got, want) && len(got) >= len(want)-lastGroup:
						shorter++ // damage to the last group looks like a torn write
					default:
						t.Fatalf("%s bit %d: silently got %v", name, bit, got)
					}
					if err == nil {
						mustClose(t, l)
					}
				}
				contents[name] = whole
			}
			t.Logf("%d refused, %d harmless, %d taken for torn", refused, harmless, shorter)
			if harmless > recordHeaderSize*8 { // all of them in the closing mark
				t.Errorf("%d flips went unnoticed", harmless)
			}
		})
	}
}

func isPrefix(got, want []record) bool {
	return len(got) <= len(want) && slices.Equal(got, want[:len(got)])
}

// exchangeRecord puts an intact record in the place of the first one of the second segment.
func exchangeRecord(contents map[string]string) {
	b := []byte(contents[segmentName(2)])
	at := b[segmentHeaderSize:]
	h, _ := decodeRecordHeader(at)
	h.payloadCRC = payloadChecksum([]byte("FOUR"))
	copy(at, string(h.append(nil))+"FOUR")
	contents[segmentName(2)] = string(b)
}

func TestDamageIsRefusedAndNothingChanged(t *testing.T) {
	first, second := segmentName(1), segmentName(2)
	cut := func(name string, n int) func(map[string]string) {
		return func(c map[string]string) { c[name] = c[name][:n] }
	}
	zero := func(name string, from, to int) func(map[string]string) {
		return func(c map[string]string) {
			c[name] = c[name][:from] + strings.Repeat("\x00", to-from) + c[name][to:]
		}
	}
	for name, test := range map[string]struct {
		damage func(map[string]string)
		file   string
	}{
		"first segment missing":          {func(c map[string]string) { delete(c, first) }, first},
		"first segment empty":            {cut(first, 0), first},
		"first segment without header":   {zero(first, 0, segmentHeaderSize), first},
		"first segment shorter":          {cut(first, segmentHeaderSize+56), first},
		"first segment's record zeroed":  {zero(first, segmentHeaderSize, segmentHeaderSize+56), first},
		"an intact but foreign record":   {exchangeRecord, second},
		"last segment without header":    {zero(second, 0, segmentHeaderSize), second},
		"last segment's first group":     {zero(second, segmentHeaderSize, segmentHeaderSize+56), second},
		"last segment's group in middle": {zero(second, segmentHeaderSize+112, segmentHeaderSize+168), second},
	} {
		t.Run(name, func(t *testing.T) {
			contents, _, _ := smallLog(t, false)
			test.damage(contents)
			fs := memWith(t, contents)
			_, _, err := openAll(testOptions(fs), 0)
			c := wantCorruption(t, err)
			if c.File != fs.PathJoin(testDir, test.file) {
				t.Errorf("the error names %s, not %s", c.File, test.file)
			}
			if diff := cmp.Diff(contents, files(t, fs)); diff != "" {
				t.Errorf("a refused Open changed files: %s", diff)
			}
		})
	}
}

func TestDamageBehindTheReplayedPartIsStillFound(t *testing.T) {
	contents, _, _ := smallLog(t, false)
	name := segmentName(2)
	contents[name] = contents[name][:segmentHeaderSize+8] + "XXXX" + contents[name][segmentHeaderSize+12:]
	_, _, err := openAll(testOptions(memWith(t, contents)), 3)
	wantCorruption(t, err)
}

func TestCreationCutShortIsDropped(t *testing.T) {
	other := newBuilder(t)
	other.group("of an older segment")
	recycled := other.files()[segmentName(1)]
	unsynced := newBuilder(t)
	unsynced.switchSegment()
	unsynced.switchSegment()
	unsynced.group("header lost", "but records found")
	headless := strings.Repeat("\x00", segmentHeaderSize) + unsynced.files()[segmentName(3)][segmentHeaderSize:]
	for name, content := range map[string]string{
		"empty": "", "zeros": strings.Repeat("\x00", 4096), "short": "SLTWALSG", "recycled": recycled, "headless": headless,
	} {
		t.Run(name, func(t *testing.T) {
			contents, want, _ := smallLog(t, false)
			contents[segmentName(3)] = content
			fs := memWith(t, contents)
			l, got := mustOpen(t, testOptions(fs), 0)
			if !slices.Equal(got, want) {
				t.Fatal(got)
			}
			mustClose(t, l)
			if _, ok := files(t, fs)[segmentName(3)]; ok {
				t.Fatal("the file is still there")
			}
		})
	}
}

func TestUnknownVersionAndFlagsAreRefused(t *testing.T) {
	for offset, value := range map[int]byte{8: 2, 10: 2, 11: 1, 52: 1} {
		contents, _, _ := smallLog(t, false)
		for name, b := range contents {
			changed := []byte(b)
			changed[offset] = value
			contents[name] = string(rechecksum(changed))
			fs := memWith(t, contents)
			_, _, err := openAll(testOptions(fs), 0)
			if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s, byte %d: %v", name, offset, err)
			}
			contents[name] = b
		}
	}
}
