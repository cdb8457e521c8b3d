package query

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

const epoch = int64(1_700_000_000_000_000_000)

// drawRow draws a point of a small world, so that points meet.
func drawRow(t *rapid.T) row {
	r := row{
		at:     epoch + int64(rapid.IntRange(0, 40).Draw(t, "minute"))*int64(time.Minute),
		tags:   map[string]string{},
		fields: map[string]any{},
	}
	for _, tag := range []string{"a", "b"} {
		if v := rapid.SampledFrom([]string{"", "x", "y", "a value longer than twelve bytes"}).Draw(t, tag); v != "" {
			r.tags[tag] = v
		}
	}
	n := rapid.IntRange(0, 9).Draw(t, "n")
	values := map[string]any{
		"f": float64(n) / 2, "n": int64(n), "ok": n%2 == 0, "u": uint64(n), "s": strings.Repeat("long ", n%4) + fmt.Sprint(n),
	}
	for _, field := range []string{"f", "n", "ok", "s", "u"} {
		if rapid.Bool().Draw(t, field) {
			r.fields[field] = values[field]
		}
	}
	if len(r.fields) == 0 {
		r.fields["n"] = int64(n)
	}
	return r
}

// shape is a query and what the model answers.
type shape struct {
	sql   string
	model func(rows []row) []string
}

// condition is a WHERE clause and its meaning.
type condition struct {
	sql   string
	holds func(r row) bool
}

func stamp(at int64) string { return time.Unix(0, at).UTC().Format(time.RFC3339Nano) }

func drawCondition(t *rapid.T) condition {
	low := epoch + int64(rapid.IntRange(-5, 45).Draw(t, "low"))*int64(time.Minute)
	high := low + int64(rapid.IntRange(0, 20).Draw(t, "length"))*int64(time.Minute)
	tag := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "tag")
	v := rapid.SampledFrom([]string{"x", "y", "z", "a value longer than twelve bytes"}).Draw(t, "value")
	number := int64(rapid.IntRange(0, 9).Draw(t, "number"))
	all := []condition{
		{"true", func(row) bool { return true }},
		{fmt.Sprintf("time >= '%s'", stamp(low)), func(r row) bool { return r.at >= low }},
		{fmt.Sprintf("time < timestamp '%s'", stamp(high)), func(r row) bool { return r.at < high }},
		{fmt.Sprintf("'%s' >= time", stamp(low)), func(r row) bool { return r.at <= low }},
		{fmt.Sprintf("time = '%s'", stamp(low)), func(r row) bool { return r.at == low }},
		{fmt.Sprintf("time BETWEEN '%s' AND '%s'", stamp(low), stamp(high)), func(r row) bool { return low <= r.at && r.at <= high }},
		{fmt.Sprintf("m.%s = '%s'", tag, v), func(r row) bool { return r.tags[tag] == v }},
		{fmt.Sprintf("%s IN ('%s', 'y')", tag, v), func(r row) bool { return r.tags[tag] == v || r.tags[tag] == "y" }},
		{tag + " LIKE 'a%'", func(r row) bool { return strings.HasPrefix(r.tags[tag], "a") }},
		{tag + " IS NULL", func(r row) bool { return r.tags[tag] == "" }},
		{fmt.Sprintf("n = %d", number), func(r row) bool { return r.fields["n"] == number }},
		{fmt.Sprintf("n >= %d", number), func(r row) bool { n, ok := r.fields["n"].(int64); return ok && n >= number }},
		{"f IS NULL", func(r row) bool { return r.fields["f"] == nil }},
		{"ok", func(r row) bool { return r.fields["ok"] == true }},
	}
	first := rapid.SampledFrom(all).Draw(t, "first")
	second := rapid.SampledFrom(all).Draw(t, "second")
	return condition{
		first.sql + " AND " + second.sql,
		func(r row) bool { return first.holds(r) && second.holds(r) },
	}
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "(null)"
	case string:
		if v == "" {
			return "(null)" // an absent tag
		}
	}
	return fmt.Sprint(v)
}

func drawShape(t *rapid.T) shape {
	where := drawCondition(t)
	filtered := func(rows []row) []row {
		return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !where.holds(r) })
	}
	all := []shape{
		{"SELECT * EXCLUDE (time), epoch_ns(time) FROM m WHERE " + where.sql, func(rows []row) (out []string) {
			for _, r := range filtered(rows) {
				out = append(out, strings.Join([]string{
					text(r.tags["a"]), text(r.tags["b"]), text(r.fields["f"]), text(r.fields["n"]), text(r.fields["ok"]),
					text(r.fields["s"]), text(r.fields["u"]), fmt.Sprint(r.at),
				}, "|"))
			}
			return out
		}},
		{"SELECT count(*), count(s), sum(n) FROM m WHERE " + where.sql, func(rows []row) []string {
			var points, texts, sum int64
			var total any
			for _, r := range filtered(rows) {
				points++
				if r.fields["s"] != nil {
					texts++
				}
				if n, ok := r.fields["n"].(int64); ok {
					sum += n
					total = sum
				}
			}
			return []string{fmt.Sprintf("%d|%d|%s", points, texts, text(total))}
		}},
		{"SELECT a, count(*), max(u) FROM m WHERE " + where.sql + " GROUP BY a", func(rows []row) (out []string) {
			counts, highest := map[string]int{}, map[string]any{}
			for _, r := range filtered(rows) {
				a := r.tags["a"]
				counts[a]++
				if u, ok := r.fields["u"].(uint64); ok && (highest[a] == nil || highest[a].(uint64) < u) {
					highest[a] = u
				}
			}
			for a, n := range counts {
				out = append(out, fmt.Sprintf("%s|%d|%s", text(a), n, text(highest[a])))
			}
			return out
		}},
		{"SELECT epoch_ns(time), s FROM m WHERE " + where.sql + " ORDER BY time DESC, a NULLS FIRST, b NULLS FIRST LIMIT 1", func(rows []row) []string {
			found := filtered(rows)
			if len(found) == 0 {
				return nil
			}
			last := slices.MinFunc(found, func(x, y row) int {
				if x.at != y.at {
					return int(y.at - x.at)
				}
				return strings.Compare(x.tags["a"]+"\x00"+x.tags["b"], y.tags["a"]+"\x00"+y.tags["b"])
			})
			return []string{fmt.Sprintf("%d|%s", last.at, text(last.fields["s"]))}
		}},
		{"SELECT count(*) FROM m JOIN m AS o ON m.time = o.time AND m.a = o.a AND m.b = o.b", func(rows []row) []string {
			n := 0
			for _, r := range rows {
				if len(r.tags) == 2 {
					n++
				}
			}
			return []string{fmt.Sprint(n)}
		}},
	}
	return rapid.SampledFrom(all).Draw(t, "shape")
}

// drawFiles adds up to so many files with rows that are drawn, some of which are deleted, and returns the others.
func (s *store) drawFiles(t *rapid.T, view *engine.TableView, most int) (written []row) {
	for i := range rapid.IntRange(0, most).Draw(t, "files") {
		rows := merge(rapid.SliceOfN(rapid.Custom(drawRow), 1, 20).Draw(t, fmt.Sprint("file", i)))
		s.addFile(view, rows)
		written = append(written, rows...)
		if rapid.IntRange(0, 2).Draw(t, "deletes") == 0 {
			written = deleteRows(view, drawTombstone(t, view), written)
		}
	}
	return written
}

func TestLastWriteWinsInEveryPlan(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		s := newStore(outer)
		view := s.table("db", "m", "a:tag b:tag f:float n:int ok:bool s:string u:uint")
		written := s.drawFiles(t, view, 4)
		for i := range rapid.IntRange(0, 3).Draw(t, "buffers") {
			rows := rapid.SliceOfN(rapid.Custom(drawRow), 1, 60).Draw(t, fmt.Sprint("buffer", i))
			s.addBuffer(view, rows, rapid.IntRange(1, 70).Draw(t, "chunk"))
			written = append(written, rows...)
		}
		q, err := Open(Options{View: s.view, DataDir: s.dir, Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		points := merge(written)
		for range 8 {
			sh := drawShape(t)
			got, err := tryAnswer(outer, q, Request{Database: "db", SQL: sh.sql})
			if err != nil {
				t.Fatalf("%s: %v", sh.sql, err)
			}
			if diff := cmp.Diff(sorted(sh.model(points)), sorted(got)); diff != "" {
				t.Fatalf("%s (-want +got)\n%s\n%s", sh.sql, diff, describePlan(view))
			}
		}
	})
}

// drawTombstone draws a deletion from the files that are there.
func drawTombstone(t *rapid.T, view *engine.TableView) *schema.Tombstone {
	d := &schema.Tombstone{Table: view.Table.ID, Order: uint64(2*len(view.Files) + 1), Time: schema.MaxTimeRange}
	if rapid.Bool().Draw(t, "some time") {
		d.Time.Min = epoch + int64(rapid.IntRange(-5, 45).Draw(t, "from"))*int64(time.Minute)
		d.Time.Max = d.Time.Min + int64(rapid.IntRange(0, 20).Draw(t, "length"))*int64(time.Minute)
	}
	if rapid.Bool().Draw(t, "some tags") {
		d.Where = &schema.Predicate{Op: rapid.SampledFrom([]schema.PredicateOp{schema.And, schema.Or}).Draw(t, "word")}
		for range rapid.IntRange(0, 2).Draw(t, "conditions") {
			op := schema.PredicateOp(rapid.IntRange(int(schema.Equal), int(schema.NoMatch)).Draw(t, "op"))
			p, err := schema.Compare(rapid.SampledFrom([]string{"a", "b", "f", "none"}).Draw(t, "tag"), op,
				rapid.SampledFrom([]string{"", "x", "y", "long", "a value longer than twelve bytes"}).Draw(t, "value"))
			if err != nil {
				t.Fatal(err)
			}
			d.Where.Args = append(d.Where.Args, p)
		}
	}
	return d
}

// deleteRows shows the files without the rows that a tombstone deletes, and returns which are left.
func deleteRows(view *engine.TableView, d *schema.Tombstone, rows []row) []row {
	for i := range view.Files {
		if f := &view.Files[i]; d.MayHide(view.Table, f.File) {
			f.Hidden = append(f.Hidden, d)
		}
	}
	return slices.DeleteFunc(rows, func(r row) bool {
		return d.Time.Contains(r.at) && d.Where.Holds(func(tag string) string { return r.tags[tag] })
	})
}

func describePlan(view *engine.TableView) string {
	all := columnNames{all: true}
	c := constraint{time: schema.MaxTimeRange}
	p, err := planScan(context.Background(), view, &c, &all)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("windows %v clean %d partial %d screened %d dirty %d, rows clean %d dirty %d",
		p.windows, len(p.clean), len(p.partial), len(p.screened), len(p.dirty), len(p.rows.clean), len(p.rows.dirty))
}
