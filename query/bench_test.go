package query

import (
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

const (
	benchHosts = 400
	benchRows  = 1_000_000
)

// benchTable is like a table of a monitoring agent: three tags, ten fields.
func benchTable(s *store) *engine.TableView {
	columns := "host:tag region:tag service:tag"
	for i := range 5 {
		columns += fmt.Sprintf(" f%d:float n%d:int", i, i)
	}
	return s.table("db", "cpu", columns)
}

// addBenchBuffer adds rows in order of time, all hosts every ten seconds.
func addBenchBuffer(v *engine.TableView, begin int64, rows int) {
	snapshot := &partition.Snapshot{Rows: rows, SeriesCount: benchHosts, Time: schema.EmptyTimeRange}
	for _, c := range v.Table.Tags() {
		tag := partition.TagColumn{ID: c.ID}
		for h := range benchHosts {
			tag.Values = append(tag.Values, fmt.Sprintf("%s-with-a-long-name-%d", c.Name, h))
			tag.Index = append(tag.Index, uint32(h+1))
		}
		snapshot.Tags = append(snapshot.Tags, tag)
	}
	const chunkRows = 1 << 16
	for done := 0; done < rows; done += chunkRows {
		chunk := partition.Chunk{Rows: min(chunkRows, rows-done), Range: schema.EmptyTimeRange}
		for i := done; i < done+chunk.Rows; i++ {
			at := begin + int64(i/benchHosts)*10*int64(time.Second)
			chunk.Time = append(chunk.Time, at)
			chunk.Series = append(chunk.Series, uint32(i%benchHosts))
			chunk.Range = chunk.Range.Include(at)
		}
		for _, c := range v.Table.Columns {
			switch c.Type {
			case schema.Float64:
				f := partition.Field{ID: c.ID, Type: c.Type, Float64: make([]float64, chunk.Rows)}
				for i := range f.Float64 {
					f.Float64[i] = float64(i%1000) / 10
				}
				chunk.Fields = append(chunk.Fields, f)
			case schema.Int64:
				f := partition.Field{ID: c.ID, Type: c.Type, Int64: make([]int64, chunk.Rows)}
				for i := range f.Int64 {
					f.Int64[i] = int64(i % 100)
				}
				chunk.Fields = append(chunk.Fields, f)
			}
		}
		snapshot.Chunks = append(snapshot.Chunks, chunk)
		snapshot.Time = snapshot.Time.Union(chunk.Range)
	}
	v.Buffers = append(v.Buffers, snapshot)
}

// addBenchFile writes the same rows sorted by host and time.
func addBenchFile(s *store, v *engine.TableView, begin int64, rows int) {
	perHost := rows / benchHosts
	selected, ids := "make_timestamp_ns("+fmt.Sprint(begin)+"::BIGINT + (i % "+fmt.Sprint(perHost)+") * 10000000000) AS time", fmt.Sprintf("time: %d", timeFieldID)
	file := &schema.File{
		Order: uint64(len(v.Files) + 1), Rows: uint64(rows),
		Time: schema.TimeRange{Min: begin, Max: begin + int64(perHost-1)*10*int64(time.Second)},
	}
	for _, c := range v.Table.Columns {
		file.Columns = append(file.Columns, schema.ColumnStats{Column: c.ID})
		ids += fmt.Sprintf(", %s: %d", c.Name, c.ID)
		switch c.Type {
		case schema.Tag:
			selected += fmt.Sprintf(", '%s-with-a-long-name-' || (i // %d) AS %s", c.Name, perHost, c.Name)
		case schema.Float64:
			selected += ", (i % 1000) / 10 AS " + c.Name
		default:
			selected += ", i % 100 AS " + c.Name
		}
	}
	path := fmt.Sprintf("%s/bench-%d.parquet", s.dir, file.Order)
	unlocked(s.t, fmt.Sprintf("COPY (SELECT %s FROM range(%d) x(i)) TO %s (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880, FIELD_IDS {%s})",
		selected, rows, sqltext.Literal(path), ids))
	v.Files = append(v.Files, engine.FileRef{File: file, Path: path})
}

func benchQuery(b *testing.B, q *Querier, sql string) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		r, err := q.Query(b.Context(), Request{Database: "db", SQL: sql})
		if err != nil {
			b.Fatal(err)
		}
		for r.Next() {
		}
		if r.Err() != nil {
			b.Fatal(r.Err())
		}
		r.Close()
	}
}

var benchQueries = map[string]string{
	"count":     "SELECT count(*) FROM cpu",
	"sum1":      "SELECT sum(f0) FROM cpu",
	"sum5":      "SELECT sum(f0), sum(f1), sum(f2), sum(n0), sum(n1) FROM cpu",
	"absent":    "SELECT count(*) FROM cpu WHERE host = 'absent'",
	"host":      "SELECT avg(f0) FROM cpu WHERE host = 'host-with-a-long-name-7'",
	"hostHours": "SELECT host, date_bin(INTERVAL '1 hour', time) AS h, avg(f0) FROM cpu GROUP BY host, h",
}

func BenchmarkBuffer(b *testing.B) {
	s := newStore(b)
	addBenchBuffer(benchTable(s), epoch, benchRows)
	q := s.querier()
	for name, sql := range benchQueries {
		b.Run(name, func(b *testing.B) { benchQuery(b, q, sql) })
	}
}

func BenchmarkUnion(b *testing.B) {
	for name, overlap := range map[string]int64{"clean": 0, "overlap": 1} {
		s := newStore(b)
		v := benchTable(s)
		addBenchFile(s, v, epoch, benchRows)
		length := int64(benchRows/benchHosts) * 10 * int64(time.Second)
		addBenchBuffer(v, epoch+length-overlap*length/10, benchRows/10)
		q := s.querier()
		for shape, sql := range benchQueries {
			b.Run(name+"/"+shape, func(b *testing.B) { benchQuery(b, q, sql) })
		}
	}
}

// A query for one series and one hour, the most common of all.
func BenchmarkTiny(b *testing.B) {
	s := newStore(b)
	v := benchTable(s)
	addBenchFile(s, v, epoch, benchRows)
	q := s.querier()
	from := time.Unix(0, epoch).Add(2 * time.Hour).UTC()
	where := fmt.Sprintf(" FROM cpu WHERE host = 'host-with-a-long-name-7' AND time >= '%s' AND time < '%s'",
		from.Format(time.RFC3339), from.Add(time.Hour).Format(time.RFC3339))
	b.Run("file", func(b *testing.B) { benchQuery(b, q, "SELECT time, f0"+where) })
	addBenchBuffer(v, epoch+int64(240*time.Hour), 10_000)
	b.Run("fileAndBuffer", func(b *testing.B) { benchQuery(b, q, "SELECT time, f0"+where) })
	b.Run("one", func(b *testing.B) { benchQuery(b, q, "SELECT 1") })
}

// benchRecords and benchVersions are what a list of contacts may have.
const (
	benchRecords  = 100_000
	benchVersions = 5
)

// benchContacts is a table of records with ten attributes.
func benchContacts(s *store) *engine.TableView {
	columns := "_user_id:tag _deleted:bool"
	for i := range 5 {
		columns += fmt.Sprintf(" s%d:string f%d:float", i, i)
	}
	return s.latestTable("db", "contacts", "_user_id", columns)
}

// contactID is the id of a record, in Go and in SQL.
func contactID(i int) string { return fmt.Sprintf("user-%08x-long-id", i) }

// addContactFile writes as many versions as there are records, each of a random one, in an
// hour of their own.
func addContactFile(s *store, v *engine.TableView) {
	begin := epoch + int64(len(v.Files))*int64(time.Hour)
	file := &schema.File{
		Order: uint64(len(v.Files) + 1), Rows: benchRecords, Time: schema.TimeRange{Min: begin, Max: begin + benchRecords - 1},
	}
	selected := fmt.Sprintf("make_timestamp_ns(%d + i) AS t, i %% 50 = 7 AS _deleted, format('user-{:08x}-long-id', hash(i, %d) %% %d) AS _user_id",
		begin, file.Order, benchRecords)
	ids := fmt.Sprintf("t: %d", timeFieldID)
	for _, c := range v.Table.Columns {
		file.Columns = append(file.Columns, schema.ColumnStats{Column: c.ID})
		ids += fmt.Sprintf(", %s: %d", c.Name, c.ID)
		switch c.Type {
		case schema.String:
			selected += fmt.Sprintf(", 'value ' || (hash(i, %d) %% 1000) AS %s", c.ID, c.Name)
		case schema.Float64:
			selected += fmt.Sprintf(", (hash(i, %d) %% 1000) / 10 AS %s", c.ID, c.Name)
		}
	}
	path := fmt.Sprintf("%s/contacts-%d.parquet", s.dir, file.Order)
	unlocked(s.t, fmt.Sprintf("COPY (SELECT %s FROM range(%d) x(i) ORDER BY _user_id, t) TO %s (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480, FIELD_IDS {%s})",
		selected, benchRecords, sqltext.Literal(path), ids))
	v.Files = append(v.Files, engine.FileRef{File: file, Path: path})
}

// addContactBuffer adds versions of each record, later than those of all files.
func addContactBuffer(v *engine.TableView, versions int) {
	begin := epoch + int64(240*time.Hour)
	rows := benchRecords * versions
	snapshot := &partition.Snapshot{Rows: rows, SeriesCount: benchRecords, Time: schema.TimeRange{Min: begin, Max: begin + int64(rows) - 1}}
	tag := partition.TagColumn{ID: 1}
	for i := range benchRecords {
		tag.Values = append(tag.Values, contactID(i))
		tag.Index = append(tag.Index, uint32(i+1))
	}
	snapshot.Tags = []partition.TagColumn{tag}
	const chunkRows = 1 << 16
	for done := 0; done < rows; done += chunkRows {
		n := min(chunkRows, rows-done)
		chunk := partition.Chunk{Rows: n, Range: schema.TimeRange{Min: begin + int64(done), Max: begin + int64(done+n) - 1}}
		for i := done; i < done+n; i++ {
			chunk.Time = append(chunk.Time, begin+int64(i))
			chunk.Series = append(chunk.Series, uint32(i%benchRecords))
		}
		for _, c := range v.Table.Columns {
			f := partition.Field{ID: c.ID, Type: c.Type, Offsets: []uint32{0}}
			for i := done; i < done+n && c.Type != schema.Tag; i++ {
				f.Float64 = append(f.Float64, float64(i%1000)/10)
				f.Bool = append(f.Bool, 0)
				f.Data = fmt.Appendf(f.Data, "value %d", i%1000)
				f.Offsets = append(f.Offsets, uint32(len(f.Data)))
			}
			if c.Type != schema.Tag {
				chunk.Fields = append(chunk.Fields, f)
			}
		}
		snapshot.Chunks = append(snapshot.Chunks, chunk)
	}
	v.Buffers = append(v.Buffers, snapshot)
}

func BenchmarkLatest(b *testing.B) {
	many := make([]string, 100)
	for i := range many {
		many[i] = sqltext.Literal(contactID(i * 700))
	}
	for name, files := range map[string]int{"files": benchVersions, "union": benchVersions - 2, "buffer": 0} {
		s := newStore(b)
		v := benchContacts(s)
		for range files {
			addContactFile(s, v)
		}
		if files < benchVersions {
			addContactBuffer(v, benchVersions-files)
		}
		q := s.querier()
		for shape, sql := range map[string]string{
			"all":    "SELECT * FROM contacts",
			"count":  "SELECT count(*) FROM contacts",
			"filter": "SELECT _user_id, s0 FROM contacts WHERE s1 = 'value 17'",
			"one":    "SELECT * FROM contacts WHERE _user_id = " + many[50],
			"many":   "SELECT * FROM contacts WHERE _user_id IN (" + strings.Join(many, ", ") + ")",
		} {
			b.Run(name+"/"+shape, func(b *testing.B) { benchQuery(b, q, sql) })
		}
	}
}

func BenchmarkGate(b *testing.B) {
	q := newStoreWith(b, "db").querier()
	for b.Loop() {
		stmt, err := q.gate.parse(b.Context(), "SELECT host, avg(n) FROM cpu WHERE host = 'a' AND time > now() - INTERVAL '1 hour' GROUP BY host ORDER BY host")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := stmt.rewrite(b.Context(), q.gate, nil, time.Now()); err != nil {
			b.Fatal(err)
		}
		if _, err := stmt.text(b.Context(), q.gate, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFormat writes a million rows of a tag, time, a float and an integer.
func BenchmarkFormat(b *testing.B) {
	s := newStore(b)
	addBenchBuffer(benchTable(s), epoch, benchRows)
	q := s.querier()
	all := map[string]func(io.Writer, Rows) error{"fetch": func(_ io.Writer, r Rows) error {
		for r.Next() {
		}
		return r.Err()
	}}
	maps.Copy(all, writers)
	delete(all, "pretty") // which is bounded
	for format, write := range all {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := q.Query(b.Context(), Request{Database: "db", SQL: "SELECT host, time, f0, n0 FROM cpu"})
				if err != nil {
					b.Fatal(err)
				}
				if err := write(io.Discard, r); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
			b.ReportMetric(float64(benchRows)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}
