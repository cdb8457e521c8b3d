package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/schema"
)

// ingestTable is what an ingester knows of a table: the columns that are defined, and
// behind them those that the current request adds.
type ingestTable struct {
	name   string
	def    *schema.Table // nil while the table does not exist
	slots  []slot
	byName map[string]int32
	// predicted lists the field keys in the order in which the last lines had them.
	predicted []predictedKey
	expected  expected
	tagOrder  []int32 // slots of tags in the order in which they came last

	// retention is how long its rows are kept, 0 for ever, and oldest the first instant that is.
	retention time.Duration
	oldest    int64

	request uint64 // the last request that used the table
	touched uint64 // the last request that accepted a line of it
	current *batchBuilder
	days    map[schema.Day]*batchBuilder
}

// slot is a column as an ingester sees it.
type slot struct {
	name string
	kind schema.ColumnType
	id   schema.ColumnID // 0 while provisional
	// since is the line of the request that brought the column, 0 for one that exists.
	since int
	line  uint64 // the last line that staged a value, to find duplicates
}

type predictedKey struct {
	raw  []byte // with the equals sign
	name []byte // with escapes resolved
	slot int32
}

// unknownSlot stands for a field whose column does not exist yet.
const unknownSlot = -1

func newIngestTable(name string) *ingestTable {
	return &ingestTable{name: name, byName: make(map[string]int32), days: make(map[schema.Day]*batchBuilder)}
}

// begin brings the table's slots and its retention period up to date with the schema. A point is
// too old by the given time.
func (t *ingestTable) begin(request uint64, db *schema.Database, now int64) {
	t.request, t.current, t.expected.use = request, nil, 0
	t.retention = 0
	clear(t.days)
	if db != nil {
		t.retention = db.Retention
		if def, ok := db.Table(t.name); ok {
			t.define(def)
			t.retention = db.RetentionOf(def)
		}
	}
	t.oldest = floorOf(t.retention, now)
}

// end drops the table's batches, whose memory is the request's.
func (t *ingestTable) end() {
	t.current = nil
	clear(t.days)
}

// define gives slots to columns that are new in def, and ids to provisional ones.
func (t *ingestTable) define(def *schema.Table) {
	if t.def == def {
		return
	}
	t.def = def
	for _, c := range def.Columns {
		if i, ok := t.byName[c.Name]; ok {
			t.slots[i].id, t.slots[i].since = c.ID, 0
			continue
		}
		t.byName[c.Name] = int32(len(t.slots))
		t.slots = append(t.slots, slot{name: c.Name, kind: c.Type, id: c.ID})
	}
}

// dropSlots forgets the slots from n on, which must be provisional.
func (t *ingestTable) dropSlots(n int) {
	if n == len(t.slots) {
		return
	}
	t.forgetExpected()
	t.tagOrder = t.tagOrder[:0]
	for _, s := range t.slots[n:] {
		delete(t.byName, s.name)
	}
	t.slots = t.slots[:n]
	t.predicted = slices.DeleteFunc(t.predicted, func(p predictedKey) bool { return int(p.slot) >= n })
}

// keyTag returns the tag by which the table tells rows apart, 0 if tags and time do.
func (t *ingestTable) keyTag() schema.ColumnID {
	if t.def == nil || t.def.Key.Rule == schema.PointKey {
		return 0
	}
	c, _ := t.def.Column(t.def.Key.Tag)
	return c.ID
}

// provisional returns the columns that the catalog must define.
func (t *ingestTable) provisional() []catalog.NewColumn {
	var columns []catalog.NewColumn
	for _, s := range t.slots {
		if s.id == 0 {
			columns = append(columns, catalog.NewColumn{Name: s.name, Type: s.kind})
		}
	}
	return columns
}

// predict notes that raw came as the i-th key of a line.
func (t *ingestTable) predict(i int, raw, name []byte, slot int32) {
	if i > len(t.predicted) {
		return
	}
	if i == len(t.predicted) {
		t.predicted = append(t.predicted, predictedKey{})
	}
	p := &t.predicted[i]
	p.raw, p.name, p.slot = append(p.raw[:0], raw...), append(p.name[:0], name...), slot
}

// refuseTime explains why no tag or field is named time: in a table that exists it is a
// column with a type of its own.
func (t *ingestTable) refuseTime(kind schema.ColumnType) string {
	if t.def == nil {
		return "'time' is a reserved column"
	}
	return fmt.Sprintf("invalid column type for column 'time', expected iox::column_type::timestamp, got %s", kind)
}

// chunkOrderColumn is a name that InfluxDB 3 keeps for itself; what is written here could
// not go back there.
const chunkOrderColumn = "__chunk_order"

// addSlot makes a provisional column.
func (in *ingester) addSlot(t *ingestTable, name []byte, kind schema.ColumnType) (int32, *fault) {
	if string(name) == schema.TimeColumn {
		return 0, in.faultHere(t.refuseTime(kind), "a line's time stamp is its last item; give the column another name")
	}
	if string(name) == chunkOrderColumn {
		return 0, in.faultHere("'"+chunkOrderColumn+"' is a reserved column", "give the column another name")
	}
	if len(t.slots) >= in.limits.Columns && !in.isInternal {
		limit := catalog.LimitError{Kind: catalog.LimitColumns, Table: t.name, Limit: in.limits.Columns}
		f := in.faultHere(limit.Error(), fmt.Sprintf("column %q would be one too many for table %q; start the server with a greater --max-columns, or write to another table", shorten(name), shorten(t.name)))
		f.limit = true
		return 0, f
	}
	in.cached += slotOverhead + 3*int64(len(name))
	t.slots = append(t.slots, slot{name: string(name), kind: kind, since: in.reader.Line()})
	t.byName[string(name)] = int32(len(t.slots) - 1)
	return int32(len(t.slots) - 1), nil
}

// checkNewTable counts the tables that the request creates against the limit.
func (in *ingester) checkNewTable(t *ingestTable) *fault {
	if t.touched == in.request {
		return nil
	}
	if t.def == nil && in.noNewTables {
		return in.faultHere(fmt.Sprintf("table '%s' does not exist", shorten(t.name)), "it was deleted; create it again")
	}
	if t.def == nil && !in.isInternal {
		if have := in.snapshot.LimitedTableCount() + in.created; have >= in.limits.Tables {
			limit := catalog.LimitError{Kind: catalog.LimitTables, Table: t.name, Have: have, Limit: in.limits.Tables}
			f := in.faultHere(limit.Error(), "start the server with a greater --max-tables, or delete tables that nobody needs")
			f.limit = true
			return f
		}
		in.created++
	}
	t.touched = in.request
	in.touched = append(in.touched, t)
	return nil
}

// change returns what the catalog must define before the request can be logged; ok is
// false when everything exists.
func (in *ingester) change(database string) (change catalog.Change, ok bool) {
	change.Database = database
	for _, t := range in.touched {
		if columns := t.provisional(); len(columns) > 0 {
			table := catalog.TableChange{Name: t.name, Columns: columns}
			if t.def != nil {
				table.ID = t.def.ID
			}
			change.Tables = append(change.Tables, table)
		}
	}
	return change, len(change.Tables) > 0
}

// errTableReplaced says that a table was deleted while a request was read against it.
var errTableReplaced = errors.New("deleted while it was written to")

// settle makes the request's provisional columns real.
func (in *ingester) settle(snapshot *schema.Snapshot, database string) error {
	db, ok := snapshot.Database(database)
	if !ok {
		return fmt.Errorf("%w: database %q", errTableReplaced, database)
	}
	for _, t := range in.touched {
		def, ok := db.Table(t.name)
		if !ok {
			return fmt.Errorf("%w: table %q", errTableReplaced, t.name)
		}
		if t.def != nil && t.def.ID != def.ID || t.def == nil && def.Key != (schema.TableKey{}) {
			return fmt.Errorf("%w: table %q", errTableReplaced, t.name)
		}
		t.define(def)
	}
	for _, e := range in.fresh {
		e.resolve()
	}
	in.fresh = in.fresh[:0]
	return nil
}

// abandon forgets what the request learnt about columns that were not defined.
func (in *ingester) abandon() {
	for _, e := range in.fresh {
		e.isDead = true
	}
	in.fresh, in.db.last = in.fresh[:0], nil
	for _, t := range in.touched {
		n := len(t.slots)
		for n > 0 && t.slots[n-1].id == 0 {
			n--
		}
		t.dropSlots(n)
	}
}
