package engine

import (
	"fmt"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// ingester turns bodies into batches.
//
// On a real stream the same series come again and again, in the same order and with
// the same fields. So an ingester remembers, from request to request, what the text
// of a series meant, which series came after it, and in which order its table's
// fields came; a line that goes on like that is read without hashing or looking up
// anything. Everything remembered is a cache: it may be dropped at any time.
//
// A line is read into a stage first and moved into its batch only when all of it is
// valid, which makes rejecting it trivial. Columns that do not exist yet get
// provisional slots, which become real when the catalog has defined them.
//
// An ingester is used by one goroutine at a time.
type ingester struct {
	limits    catalog.Limits
	maxCached int64

	reader lineprotocol.Reader
	series lineprotocol.Series
	value  lineprotocol.Value

	databases map[string]*ingestDatabase
	cached    int64 // estimated bytes of all that is remembered

	// Of the current request:
	db       *ingestDatabase
	snapshot *schema.Snapshot
	schema   *schema.Database // nil while the database does not exist
	request  uint64           // number of the request, for stamps
	line     uint64           // number of the line over all requests, for stamps
	out      *writeSet
	stage    []staged
	bits     []uint64       // values of the fields that were expected
	texts    []byte         // string values of the staged line
	hash     uint64         // of the series text that was looked up last
	entry    seriesEntry    // of a series that is new
	tags     []tagValue     // likewise
	text     []byte         // likewise, with the space behind it
	key      []byte         // likewise
	touched  []*ingestTable // tables with accepted lines, in order of first use
	created  int            // tables among touched that do not exist yet
	fresh    []*seriesEntry // entries without a key, made by this request
	result   WriteResult

	isPredicted bool // all keys of the staged line came as in the line before

	slotsBefore int // slots of the line's table before the line added any

	clock       int64                 // by which a point of the request is too old
	rejected    rejectedLog           // of the request
	seen        map[firstKey]struct{} // keys of FirstByTag tables in the request
	isStored    func(firstKey) (bool, error)
	noNewTables bool   // lines of tables that do not exist are rejected
	isInternal  bool   // the database is InternalDatabase, to which no limits apply
	failure     error  // why the body was not read to its end
	deletions   uint64 // of the snapshot that everything remembered belongs to
}

// staged is one field value of the line being read.
type staged struct {
	slot     int32
	from, to int32 // the string value's place in texts
	bits     uint64
}

// ingestDatabase is what an ingester remembers of one database.
type ingestDatabase struct {
	tables map[string]*ingestTable
	series seriesMemory
	last   *seriesEntry // of the line before
}

// maxCachedBytes bounds what an ingester remembers from one request to the next, where
// the pool is not small; beyond it everything is forgotten and learnt again. It has room
// for some 64 Ki series of TSBS.
const maxCachedBytes = 32 << 20

// Estimates of what remembering takes beside the texts.
const (
	entryOverhead = 170 // a seriesEntry and its place in the index
	tagOverhead   = 48  // a tag of one that is taken apart, and the least that its value allocates
	tableOverhead = 400 // an ingestTable with empty maps
	slotOverhead  = 214 // a slot, its place in the map, a predicted key, an expected field
)

func newIngester(s *ingesters) *ingester {
	return &ingester{
		limits: s.limits, maxCached: s.maxCached, isStored: s.isStored,
		databases: make(map[string]*ingestDatabase), seen: make(map[firstKey]struct{}),
		rejected: rejectedLog{isOn: s.logsRejected},
	}
}

// read parses the body of req into out against a snapshot of the schema, as far as
// there is room.
func (in *ingester) read(req *WriteRequest, snapshot *schema.Snapshot, out *writeSet, room *room) {
	in.begin(req, snapshot, out)
	room.begin(in)
	in.reader.Reset(req.Body)
	for in.failure == nil && in.reader.Next() {
		in.line++
		if fault := in.readLine(req.Precision, req.Now); fault != nil {
			in.reject(fault)
		}
		if in.failure == nil {
			in.failure = room.check(in)
		}
	}
	for _, b := range out.batches {
		b.Finish()
	}
}

func (in *ingester) begin(req *WriteRequest, snapshot *schema.Snapshot, out *writeSet) {
	if n := snapshot.Deletions(); n != in.deletions {
		in.forget() // a name may mean another table now
		in.deletions = n
	}
	in.db = in.databases[req.Database]
	if in.db == nil {
		in.db = &ingestDatabase{tables: make(map[string]*ingestTable)}
		in.databases[req.Database] = in.db
		in.cached += tableOverhead
	}
	in.snapshot, in.out = snapshot, out
	in.schema, _ = snapshot.Database(req.Database)
	in.request++
	in.touched, in.created, in.fresh = in.touched[:0], 0, in.fresh[:0]
	in.result, in.failure = WriteResult{}, nil
	in.clock = req.clock
	in.noNewTables = req.NoNewTables
	in.isInternal = req.Database == InternalDatabase
	in.rejected.begin(req)
	clear(in.seen)
}

// end drops what refers to the request, and everything remembered if it has become too
// much: a body may have brought a new series with each line.
func (in *ingester) end() {
	if in.cached > in.maxCached {
		in.forget()
	}
	for _, t := range in.touched {
		t.end()
	}
	in.touched, in.fresh = emptied(in.touched), emptied(in.fresh)
	clear(in.tags[:cap(in.tags)]) // their values are in the body
	in.entry = seriesEntry{}
	in.db, in.snapshot, in.schema, in.out, in.result = nil, nil, nil, nil, WriteResult{}
	in.reader.Reset(nil)
	in.rejected.end()
	if len(in.seen) > maxSeen {
		in.seen = make(map[firstKey]struct{})
	}
}

// emptied is a slice to be filled anew, without references and of little memory.
func emptied[T any](s []*T) []*T {
	if cap(s) > maxSeen {
		return nil
	}
	clear(s)
	return s[:0]
}

// maxSeen bounds the keys for which an idle ingester keeps room.
const maxSeen = 1024

func (in *ingester) forget() {
	clear(in.databases)
	in.cached = 0
}

// fault is what is wrong with a line.
type fault struct {
	line, column int
	message      string
	hint         string
	plain        string // message with other quotes, where it has quotes
	syntax       bool
	limit        bool
	expired      bool
}

func syntaxFault(e *lineprotocol.Error) *fault {
	return &fault{line: e.Line, column: e.Column, message: e.Error(), plain: e.Plain(), hint: syntaxHint(e.Kind), syntax: true}
}

// faultHere describes a fault that the schema or a limit finds in the current line.
func (in *ingester) faultHere(message, hint string) *fault {
	return &fault{line: in.reader.Line(), column: in.reader.Column(), message: message, hint: hint}
}

// reject records a fault and moves on to the next line.
func (in *ingester) reject(f *fault) {
	in.result.Rejected++
	if f.expired {
		in.result.Expired++
	}
	f.message, f.plain, f.hint = cut([]byte(f.message), maxMessageBytes), cut([]byte(f.plain), maxMessageBytes), cut([]byte(f.hint), maxMessageBytes)
	raw := in.reader.Raw()
	if len(in.result.Errors) < MaxReportedErrors {
		in.result.Errors = append(in.result.Errors, LineError{
			Line: f.line, Column: f.column, Message: f.message, plain: f.plain, Hint: f.hint,
			Syntax: f.syntax, Limit: f.limit, Expired: f.expired,
			Original: string(raw[:min(len(raw), MaxOriginalBytes)]),
		})
	}
	in.reader.Skip()
	in.rejected.add(f, in.reader.Raw()) // now with the line breaks in its strings
}

// maxMessageBytes bounds what is said about a line: names in it may be 64 KiB long.
const maxMessageBytes = 1024

// readLine reads one line and, if all of it is valid, adds it to its batch.
func (in *ingester) readLine(precision lineprotocol.Precision, now int64) *fault {
	entry, f := in.readSeries()
	if f != nil {
		return f
	}
	t := entry.table
	n := in.readExpected(t)
	more := n == 0 || in.reader.More()
	isWhole := !more && n == t.expected.Len() && in.isPlain(t)
	in.stage, in.texts, in.isPredicted = in.stage[:0], in.texts[:0], true
	if !isWhole {
		in.stageExpected(t, n)
		f = in.readFields(t, n, more)
	}
	var ns int64
	if f == nil {
		ns, f = in.readTime(t, precision, now)
	}
	if f == nil && isWhole {
		if b := t.expectedBatch(ns, n); b != nil {
			b.addExpected(in.keep(entry), ns, t.expected.columns, in.bits[:n])
			in.result.Accepted++
			return nil
		}
		in.stageExpected(t, n)
	}
	return in.addStaged(entry, ns, f)
}

// addStaged adds the line that is staged to its batch, unless there is a fault in it.
func (in *ingester) addStaged(entry *seriesEntry, ns int64, f *fault) *fault {
	t := entry.table
	if f == nil && t.keyTag() != 0 {
		isRepeated, g := in.checkKey(entry, ns)
		if isRepeated {
			t.dropSlots(in.slotsBefore)
			in.result.Accepted++
			in.result.Discarded++
			return nil
		}
		f = g
	}
	if f == nil {
		f = in.checkNewTable(t)
	}
	if t.def != nil && t.def.Rollup != nil && (f == nil || !f.syntax) {
		f = in.faultHere(fmt.Sprintf("table '%s' is a rollup and cannot be written to: its rows follow from those of its source", t.name),
			"write to the table that the rollup is made of")
	}
	if f != nil {
		t.dropSlots(in.slotsBefore)
		return f
	}
	t.batchFor(ns, in.stage, in.out).add(in.keep(entry), ns, in.stage, in.texts)
	in.result.Accepted++
	if in.isPredicted {
		t.expect(in.stage)
	}
	return nil
}

// readFields reads the fields of a line from the i-th on and stages them. The line ends before
// it if there are no more.
func (in *ingester) readFields(t *ingestTable, i int, more bool) *fault {
	for ; more; i++ {
		slot, name, f := in.readKey(t, i)
		if f != nil {
			return f
		}
		if err := in.reader.Value(&in.value, name); err != nil {
			return syntaxFault(err)
		}
		if f := in.stageValue(t, slot, name); f != nil {
			return f
		}
		more = in.reader.More()
	}
	return nil
}

// readKey reads the i-th field key of a line and finds its slot: the one that came at
// this place last time, or by name, or unknownSlot.
func (in *ingester) readKey(t *ingestTable, i int) (slot int32, name []byte, f *fault) {
	if i < len(t.predicted) {
		if p := &t.predicted[i]; in.reader.SkipKey(p.raw) {
			return p.slot, p.name, nil
		}
	}
	in.isPredicted = false
	name, raw, err := in.reader.Key()
	if err != nil {
		return 0, nil, syntaxFault(err)
	}
	slot, ok := t.byName[string(name)]
	if !ok {
		return unknownSlot, name, nil
	}
	t.predict(i, raw, name, slot)
	return slot, name, nil
}

// stageValue checks the value just read against its column and stages it.
func (in *ingester) stageValue(t *ingestTable, slot int32, name []byte) *fault {
	if slot == unknownSlot {
		var f *fault
		if slot, f = in.addSlot(t, name, in.value.Type); f != nil {
			return f
		}
	}
	s := &t.slots[slot]
	switch {
	case s.kind != in.value.Type:
		return in.typeFault(t, s, in.value.Type)
	case s.line == in.line:
		return in.faultHere(fmt.Sprintf("invalid line protocol - multiple instances of '%s' field found", s.name), "leave one of them")
	}
	s.line = in.line
	v := staged{slot: slot, bits: in.value.Bits}
	if s.kind == schema.String {
		v.from = int32(len(in.texts))
		in.texts = append(in.texts, in.value.Text...)
		v.to = int32(len(in.texts))
	}
	in.stage = append(in.stage, v)
	return nil
}

func (in *ingester) readTime(t *ingestTable, precision lineprotocol.Precision, now int64) (int64, *fault) {
	digits, present, err := in.reader.Time()
	if err != nil {
		return 0, syntaxFault(err)
	}
	if !present {
		return in.clockTime(precision, now)
	}
	ns, ok := precision.Nanoseconds(digits)
	if !ok {
		return 0, syntaxFault(in.reader.OutOfRange(digits, precision))
	}
	if ns < t.oldest {
		return 0, in.expiredFault(t, ns)
	}
	return ns, nil
}

// clockTime is the time of a point without one. The clock may be where no time stamp is.
func (in *ingester) clockTime(precision lineprotocol.Precision, now int64) (int64, *fault) {
	if now < lineprotocol.MinTime || now > lineprotocol.MaxTime {
		return 0, in.faultHere("the point has no timestamp, and the server's clock is outside of the years 1677 to 2262",
			"set the server's clock, or write points with timestamps")
	}
	return precision.Truncate(now), nil
}
