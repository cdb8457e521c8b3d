package query

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// latestTable defines a table of records that are told apart by the tag.
func (s *store) latestTable(database, name, tag, columns string) *engine.TableView {
	view := s.table(database, name, columns)
	view.Table.Key = schema.TableKey{Rule: schema.LatestByTag, Tag: tag}
	return view
}

// drawVersion draws a version of one of a few records; some end the record.
func drawVersion(t *rapid.T) row {
	r := drawRow(t)
	switch rapid.IntRange(0, 5).Draw(t, "deleted") {
	case 0:
		r.fields["_deleted"] = true
	case 1:
		r.fields["_deleted"] = false
	}
	return r
}

// latest is the model of a LatestByTag table with the key a: of merged rows those that
// a query sees.
func latest(points []row) []row {
	newest := map[string]row{}
	for _, r := range points {
		key := text(r.tags["a"])
		if old, ok := newest[key]; !ok || r.at > old.at || r.at == old.at && r.tags["b"] > old.tags["b"] {
			newest[key] = r
		}
	}
	var seen []row
	for _, key := range slices.Sorted(maps.Keys(newest)) {
		if r := newest[key]; r.fields["_deleted"] != true {
			seen = append(seen, r)
		}
	}
	return seen
}

// untag moves the tag b to the fields, for a table that has no tag but its key.
func untag(rows []row) []row {
	moved := make([]row, len(rows))
	for i, r := range rows {
		moved[i] = row{at: r.at, tags: maps.Clone(r.tags), fields: maps.Clone(r.fields)}
		if b, ok := r.tags["b"]; ok {
			delete(moved[i].tags, "b")
			moved[i].fields["b"] = b
		}
	}
	return moved
}

// retag undoes untag.
func retag(rows []row) []row {
	moved := make([]row, len(rows))
	for i, r := range rows {
		moved[i] = row{at: r.at, tags: maps.Clone(r.tags), fields: maps.Clone(r.fields)}
		if b, ok := r.fields["b"].(string); ok {
			delete(moved[i].fields, "b")
			moved[i].tags["b"] = b
		}
	}
	return moved
}

// drawLatestShape draws a query on m, whose rows each have another value of a.
func drawLatestShape(t *rapid.T) shape {
	n := int64(rapid.IntRange(0, 9).Draw(t, "limit"))
	atLeast := func(r row) bool { v, ok := r.fields["n"].(int64); return ok && v >= n }
	list := func(rows []row, holds func(r row) bool) (out []string) {
		for _, r := range rows {
			if holds(r) {
				out = append(out, fmt.Sprintf("%s|%s|%d", text(r.tags["a"]), text(r.fields["s"]), r.at))
			}
		}
		return out
	}
	hasKey := func(r row) bool { return r.tags["a"] != "" }
	newestIsOK := func(rows []row) []string {
		counts := map[bool]int{}
		for _, r := range rows {
			counts[atLeast(r)]++
		}
		return []string{fmt.Sprintf("%d|%d", counts[true], len(rows))}
	}
	const selected = "SELECT x.a, x.s, epoch_ns(x.time) FROM "
	all := []shape{
		drawShape(t), drawShape(t), drawShape(t),
		{fmt.Sprintf(selected+"m x JOIN m y ON x.a = y.a WHERE y.n >= %d", n), func(rows []row) []string {
			return list(rows, func(r row) bool { return hasKey(r) && atLeast(r) })
		}},
		{fmt.Sprintf(selected+"m x WHERE a IN (SELECT a FROM m WHERE n >= %d)", n), func(rows []row) []string {
			return list(rows, func(r row) bool { return hasKey(r) && atLeast(r) })
		}},
		{fmt.Sprintf(selected+"(SELECT * FROM m WHERE n >= %d) x", n), func(rows []row) []string { return list(rows, atLeast) }},
		{fmt.Sprintf("WITH c AS MATERIALIZED (SELECT * FROM m) "+selected+"c x WHERE n >= %d", n), func(rows []row) []string {
			return list(rows, atLeast)
		}},
		{fmt.Sprintf("SELECT count(*) FILTER (WHERE n >= %d), count(*) FROM m", n), newestIsOK},
		{fmt.Sprintf(selected+"m x WHERE n >= %d QUALIFY row_number() OVER (PARTITION BY a ORDER BY time) = 1", n), func(rows []row) []string {
			return list(rows, atLeast)
		}},
		{selected + "m x LEFT JOIN m y ON x.a = y.a AND x.time < y.time WHERE y.time IS NULL", func(rows []row) []string {
			return list(rows, func(row) bool { return true })
		}},
	}
	return rapid.SampledFrom(all).Draw(t, "shape")
}

func TestLatestVersionIsSeenInEveryPlan(t *testing.T) {
	for name, variant := range map[string]struct {
		columns      string
		store, model func(rows []row) []row
	}{
		"only the key is a tag": {"_deleted:bool a:tag b:string f:float n:int ok:bool s:string u:uint", untag, retag},
		"another tag":           {"b:tag a:tag f:float n:int ok:bool s:string u:uint _deleted:bool", slices.Clone[[]row], slices.Clone[[]row]},
	} {
		t.Run(name, func(outer *testing.T) {
			s := newStore(outer)
			q := s.querier()
			rapid.Check(outer, func(t *rapid.T) {
				database := fmt.Sprint("db", s.nextID)
				view := s.latestTable(database, "m", "a", variant.columns)
				var written []row
				for i := range rapid.IntRange(0, 4).Draw(t, "files") {
					rows := merge(variant.store(rapid.SliceOfN(rapid.Custom(drawVersion), 1, 20).Draw(t, fmt.Sprint("file", i))))
					s.addFile(view, rows)
					written = append(written, rows...)
				}
				for i := range rapid.IntRange(0, 3).Draw(t, "buffers") {
					rows := variant.store(rapid.SliceOfN(rapid.Custom(drawVersion), 1, 60).Draw(t, fmt.Sprint("buffer", i)))
					s.addBuffer(view, rows, rapid.IntRange(1, 70).Draw(t, "chunk"))
					written = append(written, rows...)
				}
				records := latest(variant.model(merge(written)))
				for range 8 {
					sh := drawLatestShape(t)
					got, err := tryAnswer(outer, q, Request{Database: database, SQL: sh.sql})
					if err != nil {
						t.Fatalf("%s: %v", sh.sql, err)
					}
					if diff := cmp.Diff(sorted(sh.model(records)), sorted(got)); diff != "" {
						t.Fatalf("%s (-want +got)\n%s\n%s", sh.sql, diff, describePlan(view))
					}
				}
			})
		})
	}
}

// version is a row of the table that newContacts makes.
func version(id string, at int64, fields map[string]any) row {
	return row{at: epoch + at, tags: map[string]string{"_user_id": id}, fields: fields}
}

func newContacts(t testing.TB) (*store, *engine.TableView) {
	s := newStore(t)
	return s, s.latestTable("db", "contacts", "_user_id", "_user_id:tag plan:string _deleted:bool")
}

func TestDeletedRecordsAndTheMarkAreNotShown(t *testing.T) {
	s, v := newContacts(t)
	s.addFile(v, []row{
		version("a", 1, map[string]any{"plan": "old"}),
		version("b", 2, map[string]any{"plan": "pro"}),
		version("c", 3, map[string]any{"plan": "gone", "_deleted": true}),
		version("d", 4, map[string]any{"plan": "back", "_deleted": true}),
	})
	s.addBuffer(v, []row{
		version("a", 5, map[string]any{}),
		version("b", 6, map[string]any{"_deleted": true}),
		version("d", 7, map[string]any{"plan": "basic", "_deleted": false}),
		version("c", 0, map[string]any{"plan": "late"}), // written last, but older than the deletion
	}, 2)
	q := s.querier()
	for sql, want := range map[string][]string{
		"SELECT * EXCLUDE (time) FROM contacts ORDER BY ALL":               {"a|(null)", "d|basic"},
		"SELECT _user_id FROM contacts WHERE plan = 'old'":                 nil,
		"SELECT count(*) FROM contacts":                                    {"2"},
		"SELECT count(*) FROM contacts WHERE time < '2023-11-14 22:13:20'": {"0"},
		"SELECT _user_id FROM contacts WHERE _user_id IN ('a', 'b', 'x')":  {"a"},
		"DESCRIBE contacts": {
			"_user_id|Dictionary(Int32, Utf8)|YES", "plan|Utf8|YES", "time|Timestamp(Nanosecond, None)|NO",
		},
	} {
		if diff := cmp.Diff(want, answer(t, q, "db", sql)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", sql, diff)
		}
	}
	var user *UserError
	if _, err := tryAnswer(t, q, Request{Database: "db", SQL: "SELECT _deleted FROM contacts"}); !errors.As(err, &user) {
		t.Errorf("the mark can be selected: %v", err)
	}
}

func TestOnlyABoolInATableOfRecordsIsAMark(t *testing.T) {
	s := newStore(t)
	fields := map[string]any{"_deleted": "yes", "n": int64(1)}
	s.addBuffer(s.latestTable("db", "records", "id", "id:tag _deleted:string n:int"), []row{{at: 1, tags: map[string]string{"id": "a"}, fields: fields}}, 1)
	s.addBuffer(s.table("db", "points", "id:tag _deleted:bool n:int"), []row{{at: 1, fields: map[string]any{"_deleted": true}}}, 1)
	q := s.querier()
	if got := answer(t, q, "db", "SELECT _deleted, n FROM records"); !slices.Equal(got, []string{"yes|1"}) {
		t.Errorf("records: %q", got)
	}
	if got := answer(t, q, "db", "SELECT _deleted FROM points"); !slices.Equal(got, []string{"true"}) {
		t.Errorf("points: %q", got)
	}
}

// Nothing but the key may leave out a version that could be the latest.
func TestOnlyTheKeyPrunesVersions(t *testing.T) {
	s := newStore(t)
	v := s.latestTable("db", "cpu", "id", "id:tag region:tag n:int")
	stats := func(id string) []schema.ColumnStats {
		return []schema.ColumnStats{{Column: 1, Min: []byte(id), Max: []byte(id)}, {Column: 2, Min: []byte("r"), Max: []byte("r")}}
	}
	for i, id := range []string{"a", "b", "b", "c"} {
		f := fileRef(int64(i), schema.TimeRange{Min: epoch + int64(i)*100, Max: epoch + int64(i)*100 + 50})
		f.Columns = stats(id)
		v.Files = append(v.Files, f)
	}
	var rows []row
	for i, id := range []string{"a", "b", "c", "d", "a"} {
		rows = append(rows, row{at: epoch + 1000 + int64(i), tags: map[string]string{"id": id}, fields: map[string]any{"n": int64(i)}})
	}
	s.addBuffer(v, rows, 10)
	q := s.querier()
	used := columnNames{all: true}
	for sql, want := range map[string][2]int{ // files and buffered rows that are read
		"SELECT * FROM cpu":                                          {4, 5},
		"SELECT * FROM cpu WHERE time < '1999-01-01'":                {4, 5},
		"SELECT * FROM cpu WHERE time > now()":                       {4, 5},
		"SELECT * FROM cpu WHERE region = 'x'":                       {4, 5},
		"SELECT * FROM cpu WHERE n = 7":                              {4, 5},
		"SELECT * FROM cpu WHERE id = 'b' AND region = 'x'":          {2, 1},
		"SELECT * FROM cpu WHERE id IN ('a', 'c', 'x')":              {2, 3},
		"SELECT * FROM cpu WHERE id = 'a' AND id IN ('b')":           {0, 0},
		"SELECT * FROM cpu WHERE id = 'd' AND time > '2023'":         {0, 1},
		"SELECT * FROM cpu c JOIN cpu d USING (id) WHERE c.id = 'b'": {2, 1},
	} {
		c := constraintsOf(t, q, v.Table, sql)
		got := [2]int{1 << 30, 1 << 30} // of the scan that reads least
		for i := range c {
			p, err := planScan(t.Context(), v, &c[i], &used)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, run := range append(slices.Clone(p.rows.clean), p.rows.dirty...) {
				n += run.count
			}
			files := len(p.clean) + len(p.dirty)
			got = [2]int{min(got[0], files), min(got[1], n)}
		}
		if got != want {
			t.Errorf("%s reads %d files and %d rows, want %d and %d", sql, got[0], got[1], want[0], want[1])
		}
	}
}

func TestLookUpOfManyRecords(t *testing.T) {
	s, v := newContacts(t)
	var rows, older []row
	for i := range 200 {
		older = append(older, version(fmt.Sprint("it's ", i), int64(i), map[string]any{"plan": "old"}))
		rows = append(rows, version(fmt.Sprint("it's ", i), int64(1000+i), map[string]any{"plan": fmt.Sprint("plan ", i)}))
	}
	s.addFile(v, older)
	s.addBuffer(v, rows, 64)
	params := map[string]any{}
	var names, want []string
	for i := range 100 {
		params[fmt.Sprint("id", i)] = fmt.Sprint("it's ", i*3)
		names = append(names, fmt.Sprint("$id", i))
		if i*3 < 200 {
			want = append(want, fmt.Sprintf("it's %d|plan %d", i*3, i*3))
		}
	}
	sql := `SELECT _user_id, plan FROM contacts WHERE "_user_id" IN (` + strings.Join(names, ", ") + ")"
	got, err := tryAnswer(t, s.querier(), Request{Database: "db", SQL: sql, Params: params})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
		t.Error(diff)
	}
}

// Versions are written, flushed and recovered by the real engine.
func TestRecordsOverTheRealEngine(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := &recordWorld{T: t, random: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), model: map[string]row{}}
			w.open()
			defer w.close()
			w.createContacts()
			for range 60 {
				w.step()
			}
			w.check("true", w.answer())
		})
	}
}

// recordWorld is an engine with a table of records, and what should be in it.
type recordWorld struct {
	*testing.T
	random *rand.Rand
	dir    string
	engine *engine.Engine
	q      *Querier
	model  map[string]row // the latest version by id
}

func (w *recordWorld) open() {
	var err error
	if w.engine, err = engine.Open(engine.Options{DataDir: w.dir}); err != nil {
		w.Fatal(err)
	}
	if w.q, err = Open(Options{View: w.engine.View, DataDir: w.dir, Threads: 2}); err != nil {
		w.Fatal(err)
	}
}

func (w *recordWorld) close() {
	_ = w.q.Close()
	if err := w.engine.Close(); err != nil {
		w.Error(err)
	}
}

func (w *recordWorld) createContacts() {
	err := w.engine.CreateTable("db", engine.TableSpec{
		Name: "contacts", Key: schema.TableKey{Rule: schema.LatestByTag, Tag: "_user_id"},
		Columns: []engine.ColumnSpec{{Name: "_user_id", Type: schema.Tag}, {Name: "n", Type: schema.Int64}, {Name: "plan", Type: schema.String}},
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *recordWorld) step() {
	switch n := w.random.IntN(20); {
	case n < 10:
		w.write(w.drawContact())
	case n < 12:
		r := w.drawContact()
		r.fields["_deleted"] = true
		w.write(r)
	case n < 14:
		if err := w.engine.Flush(w.Context()); err != nil {
			w.Fatal(err)
		}
	case n < 15:
		w.close()
		w.open()
	case n < 18:
		w.check("_user_id IN ('b', 'd')", slices.DeleteFunc(w.answer(), func(s string) bool { return s[0] != 'b' && s[0] != 'd' }))
	default:
		w.check("true", w.answer())
	}
}

// drawContact draws a version on one of two days; some have the time of another.
func (w *recordWorld) drawContact() row {
	r := version(string(rune('a'+w.random.IntN(4))), int64(w.random.IntN(30))*int64(time.Hour), map[string]any{"n": int64(w.random.IntN(10))})
	if plan := []string{"", "free", "a plan longer than twelve bytes"}[w.random.IntN(3)]; plan != "" {
		r.fields["plan"] = plan
	}
	return r
}

func (w *recordWorld) write(r row) {
	w.Helper()
	line := fmt.Sprintf("contacts,_user_id=%s n=%di", r.tags["_user_id"], r.fields["n"])
	if plan, ok := r.fields["plan"]; ok {
		line += fmt.Sprintf(",plan=%q", plan)
	}
	if r.fields["_deleted"] == true {
		line += ",_deleted=true"
	}
	req := engine.WriteRequest{Database: "db", Body: fmt.Appendf(nil, "%s %d", line, r.at), Precision: engine.Nanosecond}
	if result, err := w.engine.Write(w.Context(), req); err != nil || result.Accepted != 1 {
		w.Fatalf("%s: %+v, %v", line, result, err)
	}
	id := r.tags["_user_id"]
	switch old, ok := w.model[id]; {
	case !ok || r.at > old.at:
		w.model[id] = r
	case r.at == old.at:
		maps.Copy(old.fields, r.fields)
	}
}

// answer is what the table should hold.
func (w *recordWorld) answer() (out []string) {
	for id, r := range w.model {
		if r.fields["_deleted"] != true {
			out = append(out, fmt.Sprintf("%s|%s|%s|%d", id, text(r.fields["n"]), text(r.fields["plan"]), r.at-epoch))
		}
	}
	return sorted(out)
}

func (w *recordWorld) check(where string, want []string) {
	w.Helper()
	got := answer(w, w.q, "db", fmt.Sprintf("SELECT _user_id, n, plan, epoch_ns(time) - %d FROM contacts WHERE %s", epoch, where))
	if sorted(got); !slices.Equal(got, want) {
		w.Fatalf("WHERE %s: %q, want %q", where, got, want)
	}
}
