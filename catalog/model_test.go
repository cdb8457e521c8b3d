package catalog

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// state is the model: what a catalog must contain, in the plainest form.
type state struct {
	Databases []string     // the id is the index plus one
	Tables    []tableState // likewise
	Files     map[schema.FileID]schema.File
	Position  schema.Seq
	Flushed   map[schema.PartitionKey]schema.Seq
}

type tableState struct {
	Database schema.DatabaseID
	Name     string
	Columns  []NewColumn // likewise
}

func newState() *state {
	return &state{
		Files:   map[schema.FileID]schema.File{},
		Flushed: map[schema.PartitionKey]schema.Seq{},
	}
}

func (s *state) clone() *state {
	c := *s
	c.Databases = slices.Clone(s.Databases)
	c.Tables = slices.Clone(s.Tables)
	for i := range c.Tables {
		c.Tables[i].Columns = slices.Clone(c.Tables[i].Columns)
	}
	c.Files, c.Flushed = maps.Clone(s.Files), maps.Clone(s.Flushed)
	return &c
}

// observe reads a catalog through its public methods.
func observe(c *Catalog) *state {
	s := newState()
	snapshot := c.Schema()
	s.Databases = sized[string](len(snapshot.Databases()))
	for _, d := range snapshot.Databases() {
		s.Databases[d.ID-1] = d.Name
	}
	s.Tables = sized[tableState](snapshot.TableCount())
	for i := range s.Tables {
		t, _ := snapshot.TableByID(schema.TableID(i + 1))
		s.Tables[i] = tableState{Database: t.Database, Name: t.Name}
		for _, col := range t.Columns {
			s.Tables[i].Columns = append(s.Tables[i].Columns, NewColumn{col.Name, col.Type})
		}
	}
	for _, f := range c.Files() {
		s.Files[f.ID] = *f
	}
	s.Position, s.Flushed = c.Position(), c.Flushed()
	return s
}

// sized is make, but nil for no elements, as the model has it.
func sized[T any](n int) []T {
	if n == 0 {
		return nil
	}
	return make([]T, n)
}

// define applies a valid change and says whether it is valid; it stops at the first fault.
func (s *state) define(change Change, limits Limits) (next *state, ok bool) {
	next = s.clone()
	db := schema.DatabaseID(slices.Index(next.Databases, change.Database) + 1)
	if db == 0 {
		next.Databases = append(next.Databases, change.Database)
		db = schema.DatabaseID(len(next.Databases))
	}
	for _, tc := range change.Tables {
		i := slices.IndexFunc(next.Tables, func(t tableState) bool { return t.Database == db && t.Name == tc.Name })
		if i < 0 {
			i = len(next.Tables)
			next.Tables = append(next.Tables, tableState{Database: db, Name: tc.Name})
		}
		t := &next.Tables[i]
		for _, col := range tc.Columns {
			j := slices.IndexFunc(t.Columns, func(c NewColumn) bool { return c.Name == col.Name })
			if j < 0 {
				t.Columns = append(t.Columns, col)
			} else if t.Columns[j].Type != col.Type {
				return s, false
			}
		}
		if len(t.Columns) > limits.Columns {
			return s, false
		}
	}
	if len(next.Databases) > limits.Databases || len(next.Tables) > limits.Tables {
		return s, false
	}
	return next, true
}

// commit applies a valid edit.
func (s *state) commit(e Edit) *state {
	next := s.clone()
	for _, id := range e.Remove {
		delete(next.Files, id)
	}
	for _, f := range e.Add {
		next.Files[f.ID] = *f
	}
	maps.Copy(next.Flushed, e.Flushed)
	next.Position = max(next.Position, e.Position)
	maps.DeleteFunc(next.Flushed, func(_ schema.PartitionKey, seq schema.Seq) bool { return seq <= next.Position })
	return next
}

// randomChange uses few names, so that most of them exist already and types clash at times.
func randomChange(rng *rand.Rand) Change {
	change := Change{Database: fmt.Sprintf("db%d", rng.IntN(4))}
	for range rng.IntN(4) {
		t := TableChange{Name: fmt.Sprintf("table %d", rng.IntN(8))}
		for range rng.IntN(5) {
			name := rng.IntN(7)
			typ := schema.ColumnType(1 + name%6)
			if rng.IntN(40) == 0 {
				typ = schema.ColumnType(1 + rng.IntN(6))
			}
			t.Columns = append(t.Columns, NewColumn{fmt.Sprintf("column %d", name), typ})
		}
		change.Tables = append(change.Tables, t)
	}
	return change
}

// randomEdit makes a valid edit; it takes the ids of new files from next.
func randomEdit(rng *rand.Rand, s *state, next func() schema.FileID) Edit {
	var e Edit
	for _, id := range slices.Sorted(maps.Keys(s.Files)) {
		if rng.IntN(4) == 0 {
			e.Remove = append(e.Remove, id)
		}
	}
	if rng.IntN(3) == 0 {
		e.Position = s.Position + schema.Seq(rng.IntN(20))
	}
	if len(s.Tables) == 0 {
		return e
	}
	for range rng.IntN(4) {
		e.Add = append(e.Add, randomFile(rng, s, next()))
	}
	e.Flushed = map[schema.PartitionKey]schema.Seq{}
	for range rng.IntN(3) {
		k := randomPartition(rng, s)
		e.Flushed[k] = max(s.Position, s.Flushed[k]) + schema.Seq(rng.IntN(30))
	}
	return e
}

func randomPartition(rng *rand.Rand, s *state) schema.PartitionKey {
	id := rng.IntN(len(s.Tables))
	return schema.PartitionKey{
		Database: s.Tables[id].Database, Table: schema.TableID(id + 1), Day: schema.Day(rng.IntN(5) - 2),
	}
}

func randomFile(rng *rand.Rand, s *state, id schema.FileID) *schema.File {
	k := randomPartition(rng, s)
	f := &schema.File{
		ID: id, Database: k.Database, Table: k.Table,
		DayMin: k.Day, DayMax: k.Day + schema.Day(rng.IntN(3)),
		Rows: rng.Uint64(), Bytes: rng.Uint64N(1 << 40), Order: rng.Uint64N(50), CRC32C: rng.Uint32(),
	}
	f.Time.Min = int64(rng.Uint64()>>1) - rng.Int64()
	f.Time.Max = f.Time.Min/2 + 1<<62
	f.Seq = schema.SeqRange{Min: schema.Seq(rng.Uint64N(1 << 20)), Max: schema.Seq(1<<20 + rng.Uint64N(1<<20))}
	for i, col := range s.Tables[k.Table-1].Columns {
		if rng.IntN(3) > 0 {
			f.Columns = append(f.Columns, randomStats(rng, schema.ColumnID(i+1), col.Type))
		}
	}
	return f
}

func randomStats(rng *rand.Rand, id schema.ColumnID, typ schema.ColumnType) schema.ColumnStats {
	s := schema.ColumnStats{Column: id, Nulls: rng.Uint64N(1 << uint(rng.IntN(63)))}
	switch typ {
	case schema.Tag, schema.String:
		s.Min = schema.SortableStringMin("") // empty, but known
		if rng.IntN(2) == 0 {
			s.Max = schema.SortableStringMax(string(make([]byte, rng.IntN(100))))
		}
	case schema.Bool:
		s.Min, s.Max = schema.SortableBool(false), schema.SortableBool(true)
	default:
		if rng.IntN(2) == 0 {
			s.Min, s.Max = schema.SortableInt64(-rng.Int64()), schema.SortableInt64(rng.Int64())
		}
	}
	return s
}
