package persist

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// allIDs returns the ids of a file's columns, and 0 for time.
func allIDs(f *schema.File) []schema.ColumnID {
	ids := []schema.ColumnID{0}
	for _, c := range f.Columns {
		ids = append(ids, c.Column)
	}
	return ids
}

func verifyBytes(raw []byte, f *schema.File, ids ...schema.ColumnID) error {
	_, err := VerifyColumns(context.Background(), bytes.NewReader(raw), "f.parquet", f, ids)
	return err
}

// isDamage reports whether err says that a file is not what was written.
func isDamage(err error) bool {
	var mismatch *MismatchError
	var chunk *ChunkError
	return errors.As(err, &mismatch) || errors.As(err, &chunk)
}

// TestChunksOfTheFooterLieInTheirSums holds what another reader says of the chunks
// against the sections that the sums cover.
func TestChunksOfTheFooterLieInTheirSums(t *testing.T) {
	raw, f := smallFile(t)
	fs := vfs.NewMem()
	writeFile(t, fs, "f.parquet", raw)
	v := verifier{ctx: context.Background(), src: bytes.NewReader(raw), path: "f.parquet", want: &f}
	sums, layout, err := v.readFooter()
	if err != nil {
		t.Fatal(err)
	}
	other := openParquetGo(t, fs, "f.parquet")
	offset, n := int64(len(magic)), 0
	for _, g := range other.Metadata().RowGroups {
		for i, c := range g.Columns {
			start := c.MetaData.DataPageOffset
			if d := c.MetaData.DictionaryPageOffset; d != 0 {
				start = min(start, d)
			}
			end := start + c.MetaData.TotalCompressedSize
			if start != offset || end > offset+int64(sums[n].bytes) || layout[i].Name != c.MetaData.PathInSchema[0] {
				t.Fatalf("chunk %v lies at %d to %d, its sum is that of column %q at %d, %d bytes",
					c.MetaData.PathInSchema, start, end, layout[i].Name, offset, sums[n].bytes)
			}
			offset += int64(sums[n].bytes)
			n++
		}
	}
	if n != len(sums) || uint64(offset) != f.Bytes-f.FooterBytes {
		t.Fatalf("%d sums for %d chunks, which end at %d of %d", len(sums), n, offset, f.Bytes-f.FooterBytes)
	}
}

func TestVerifyColumnsFindsEveryFlippedBit(t *testing.T) {
	raw, f := smallFile(t)
	if err := verifyBytes(raw, &f, allIDs(&f)...); err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			broken := slices.Clone(raw)
			broken[i] ^= 1 << bit
			if err := verifyBytes(broken, &f, allIDs(&f)...); !isDamage(err) {
				t.Fatalf("bit %d of byte %d: got %v", bit, i, err)
			}
			old := f
			old.FooterBytes, old.FooterCRC32C = 0, 0
			if err := verifyBytes(broken, &old); !isDamage(err) {
				t.Fatalf("bit %d of byte %d, without sums inside: got %v", bit, i, err)
			}
		}
	}
	for n := range raw {
		if err := verifyBytes(raw[:n], &f, allIDs(&f)...); !isDamage(err) {
			t.Fatalf("cut at %d: got %v", n, err)
		}
	}
}

// TestVerifyColumnsReadsJustTheColumns breaks each byte: exactly the column in whose chunk
// it is does not verify, and all if it is in the footer.
func TestVerifyColumnsReadsJustTheColumns(t *testing.T) {
	raw, f := smallFile(t)
	ids := allIDs(&f)
	for i := range raw {
		broken := slices.Clone(raw)
		broken[i] ^= 0xff
		faults := 0
		for _, id := range ids {
			err := verifyBytes(broken, &f, id)
			if err == nil {
				continue
			}
			faults++
			var chunk *ChunkError
			if errors.As(err, &chunk) && (int64(i) < chunk.Offset || int64(i) >= chunk.Offset+chunk.Bytes) {
				t.Fatalf("byte %d: %v", i, err)
			}
		}
		inside := i >= len(magic) && uint64(i) < f.Bytes-f.FooterBytes
		if inside && faults != 1 || !inside && faults != len(ids) {
			t.Fatalf("byte %d: %d of %d columns do not verify", i, faults, len(ids))
		}
	}
	if err := verifyBytes(raw, &f, 1<<30); err != nil {
		t.Fatalf("a column that the file does not have: %v", err)
	}
}

func TestVerifyColumnsEndsWithItsContext(t *testing.T) {
	raw, f := smallFile(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("hung up")
	cancel(cause)
	if _, err := VerifyColumns(ctx, bytes.NewReader(raw), "f.parquet", &f, allIDs(&f)); !errors.Is(err, cause) {
		t.Fatalf("got %v", err)
	}
}

func FuzzDecodeSums(f *testing.F) {
	f.Add(encodeSums([]section{{1, 2}, {300, 4}}), 2, uint64(301))
	f.Add("", 0, uint64(0))
	f.Add(base64.RawStdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 30)), 3, uint64(1<<40))
	f.Fuzz(func(t *testing.T, text string, n int, total uint64) {
		if n < 0 {
			return
		}
		sums, err := decodeSums(text, n, total)
		if err != nil {
			return
		}
		again, err := decodeSums(encodeSums(sums), n, total)
		if err != nil || !slices.Equal(again, sums) {
			t.Fatalf("%v became %v: %v", sums, again, err)
		}
	})
}
