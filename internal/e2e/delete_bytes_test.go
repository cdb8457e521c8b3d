//go:build duckdb_arrow

package e2e

import (
	"bytes"
	le "encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

// secrets are values of rows that are deleted, as Parquet has them.
func secrets(times []int64) map[string][]byte {
	number := func(v uint64) []byte { return le.LittleEndian.AppendUint64(nil, v) }
	all := map[string][]byte{
		"tag":     []byte("top-secret-host"),
		"string":  []byte("secret words"),
		"integer": number(7_777_777_777_777),
		"float":   number(math.Float64bits(-12345.678901)),
	}
	for _, at := range times {
		all[fmt.Sprint("time ", at)] = number(uint64(at))
	}
	return all
}

// TestDeletedValuesLeaveTheFiles: after a compaction no Parquet file has a value of a row that was
// deleted, as an independent reader sees it: in pages, dictionaries, statistics, indexes and metadata.
func TestDeletedValuesLeaveTheFiles(t *testing.T) {
	s := newSite(t)
	srv := s.start("--compaction", "off")
	const hour = int64(3600e9)
	var times []int64
	for part := range int64(3) { // a file each; the last is in memory when rows are deleted
		var lines strings.Builder
		for i := range int64(300) {
			at := 1_700_000_000e9 + i*hour/10 + part
			fmt.Fprintf(&lines, "m,host=h%d i=%di,f=%d.5,s=\"words %d\" %d\n", i%7, i, i, i%3, at)
			if i%100 == 50 {
				fmt.Fprintf(&lines, "m,host=top-secret-host i=%di,f=%d.5,s=\"words\" %d\n", i, i, at)
				times = append(times, at+500)
				fmt.Fprintf(&lines, "m,host=h1 i=7777777777777i,f=-12345.678901,s=\"secret words\" %d\n", at+500)
			}
		}
		srv.write("db", lines.String())
		if part < 2 {
			srv.flush()
		}
	}
	for what, secret := range secrets(times) {
		if !strings.HasPrefix(what, "time") && !holdsInFiles(t, s, secret) {
			t.Errorf("the %s was in no file before: the test looks for it in the wrong way", what)
		}
	}
	remove := func(args ...string) {
		t.Helper()
		_, said, status := s.command(append([]string{"delete", "rows", "--host", srv.url, "-d", "db", "-t", "m", "--yes"}, args...)...)
		if status != 0 {
			t.Fatal(said)
		}
	}
	remove("--predicate", `host="top-secret-host"`)
	for _, at := range times {
		text := time.Unix(0, at).UTC().Format(time.RFC3339Nano)
		remove("--start", text, "--stop", text)
	}
	if n := srv.query("db", "SELECT count(*) AS n FROM m")[0].number("n"); n != 900 {
		t.Fatalf("%d rows are left", n)
	}
	if _, said, status := s.command("compact", "--host", srv.url, "--db", "db", "--wait"); status != 0 {
		t.Fatal(said)
	}
	if n := srv.query("db", "SELECT count(*) AS n FROM m")[0].number("n"); n != 900 {
		t.Fatalf("%d rows are left after the compaction", n)
	}
	for what, secret := range secrets(times) {
		if holdsInFiles(t, s, secret) {
			t.Errorf("the %s that was deleted is in a file", what)
		}
	}
}

// holdsInFiles reports whether some Parquet file has a value.
func holdsInFiles(t *testing.T, s *site, value []byte) bool {
	t.Helper()
	holds := false
	for _, path := range s.parquetFiles() {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parquet.OpenFile(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatal(err)
		}
		// Indexes, statistics and metadata are not compressed.
		holds = holds || bytes.Contains(text, value) || strings.Contains(fmt.Sprint(f.Metadata().KeyValueMetadata), string(value))
		for _, group := range f.RowGroups() {
			for _, chunk := range group.ColumnChunks() {
				holds = holds || holdsInPages(t, chunk.Pages(), value)
			}
		}
	}
	return holds
}

func holdsInPages(t *testing.T, pages parquet.Pages, value []byte) (holds bool) {
	t.Helper()
	defer pages.Close()
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return holds
		}
		if err != nil {
			t.Fatal(err)
		}
		if d := page.Dictionary(); d != nil {
			for i := range d.Len() {
				holds = holds || isValue(d.Index(int32(i)), value)
			}
		}
		values := make([]parquet.Value, page.NumValues())
		if _, err := page.Values().ReadValues(values); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		for _, v := range values {
			holds = holds || isValue(v, value)
		}
	}
}

// isValue reports whether a value has these bytes.
func isValue(v parquet.Value, want []byte) bool { return !v.IsNull() && bytes.Equal(v.Bytes(), want) }
