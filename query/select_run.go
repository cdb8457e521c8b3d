package query

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// selectRecordRows is the size of the records that are made of selected rows.
const selectRecordRows = 4096

// selected is the answer to a plain SELECT, of which nothing is read before it is asked for.
type selected struct {
	run     *running
	query   *selectQuery
	schema  *arrow.Schema // of the answer
	coded   *arrow.Schema // the same, with tags as codes
	items   []selectItem
	records *ordered[arrow.RecordBatch] // nil until they are asked for
	texts   *ordered[[]byte]            // likewise
	workers []selectWorker
	left    int64 // of LIMIT; -1 is all
	skip    int64 // of OFFSET

	merging  *merging            // nil where nothing is merged
	series   *partition.Snapshot // the series of what is merged, without rows
	accepted []bool              // those of them that are wanted; nil is all
}

// selectItem is a row group, a run of buffered rows, or a unit whose rows are merged.
type selectItem struct {
	file  *engine.FileSelection
	group int
	run   *rowRun
	unit  *mergeUnit
}

// selectWorker is what a goroutine needs that reads items.
type selectWorker struct {
	columns []cells                   // of text
	buffers *persist.SelectionBuffers // nil where records keep what was read
	merger  rowMerger
}

// newSelected makes an answer without rows.
func newSelected(r *running, q *selectQuery, columns []shown) *selected {
	fields, coded := make([]arrow.Field, len(columns)), make([]arrow.Field, len(columns))
	for i, c := range q.columns {
		fields[i] = arrow.Field{Name: q.names[i], Type: directType(c), Nullable: true}
		coded[i] = fields[i]
		if c.Type == schema.Tag && c.ID != 0 {
			coded[i].Type = tagType
		}
	}
	return &selected{
		run: r, query: q, left: q.limit, skip: q.offset, workers: make([]selectWorker, r.querier.opts.Threads),
		schema: describeColumns(arrow.NewSchema(fields, nil), columns), coded: arrow.NewSchema(coded, nil),
	}
}

func (s *selected) addFile(f *engine.FileSelection) {
	for _, g := range f.Groups() {
		s.items = append(s.items, selectItem{file: f, group: g})
	}
}

func (s *selected) addRun(run *rowRun) { s.items = append(s.items, selectItem{run: run}) }

func (s *selected) result() *Result {
	tags := make([]converter, len(s.query.columns))
	for i := range tags {
		if s.coded.Field(i).Type == tagType {
			tags[i] = lookUp
		}
	}
	return &Result{run: s.run, schema: s.schema, selected: s, converters: tags}
}

// next returns the next rows with codes, or nil at the end.
func (s *selected) next() (arrow.RecordBatch, error) {
	if s.records == nil {
		s.records = newOrdered(s.run.ctx, s.run.querier.opts.Threads, len(s.items), s.record())
	}
	for s.left != 0 {
		rec, ok, err := s.records.next()
		if !ok {
			return nil, s.run.job.explain(err)
		}
		skip := min(s.skip, rec.NumRows())
		n := rec.NumRows() - skip
		if s.left >= 0 {
			n = min(n, s.left)
			s.left -= n
		}
		s.skip -= skip
		if n == rec.NumRows() {
			return rec, nil
		}
		part := rec.NewSlice(skip, skip+n)
		rec.Release()
		if n > 0 {
			return part, nil
		}
		part.Release()
	}
	return nil, nil
}

// record returns what makes records of items.
func (s *selected) record() func(worker, item int, emit func(arrow.RecordBatch) error) error {
	return func(worker, item int, emit func(arrow.RecordBatch) error) error {
		return s.read(&s.items[item], &s.workers[worker], func(rows *partition.Snapshot, chunk *partition.Chunk) error {
			return s.divide(rows, chunk, emit)
		})
	}
}

// read calls yield with chunks of the rows of an item. They are valid until it returns if the worker has buffers.
func (s *selected) read(item *selectItem, w *selectWorker, yield func(*partition.Snapshot, *partition.Chunk) error) error {
	if err := s.run.ctx.Err(); err != nil {
		return err
	}
	rows, chunk := s.series, (*partition.Chunk)(nil)
	switch {
	case item.file != nil:
		return item.file.Read(item.group, w.buffers, func(rows *partition.Snapshot) error {
			return yield(rows, &rows.Chunks[0])
		})
	case item.unit != nil:
		var err error
		if chunk, err = s.readUnit(&w.merger, item.unit); err != nil {
			return err
		}
	default:
		rows, chunk = item.run.snapshot, s.query.where.pick(item.run)
	}
	if chunk.Rows == 0 {
		return nil
	}
	return yield(rows, chunk)
}

// divide makes records of all rows of a chunk.
func (s *selected) divide(rows *partition.Snapshot, chunk *partition.Chunk, emit func(arrow.RecordBatch) error) error {
	all := codedRecord(s.coded, s.query.columns, rows, chunk)
	defer all.Release()
	for from := int64(0); from < all.NumRows(); from += selectRecordRows {
		part := all.NewSlice(from, min(from+selectRecordRows, all.NumRows()))
		if err := emit(part); err != nil {
			part.Release()
			return err
		}
	}
	return nil
}

// stop ends the reading.
func (s *selected) stop() {
	if s.records != nil {
		s.records.stop(arrow.RecordBatch.Release)
	}
	if s.texts != nil {
		s.texts.stop(func([]byte) {})
	}
	if s.merging != nil {
		s.merging.close()
	}
}

// pick returns the rows of a run that are wanted.
func (c *conditions) pick(run *rowRun) *partition.Chunk {
	from := run.chunk
	keep := make([]uint64, (from.Rows+63)/64)
	series := c.series(run.snapshot)
	for i := range run.count {
		row := run.start + i
		if run.rows != nil {
			row = int(run.rows[i])
		}
		if c.time.Contains(from.Time[row]) && (series == nil || series[from.Series[row]]) {
			keep[row>>6] |= 1 << (row & 63)
		}
	}
	for i := range c.of {
		of := &c.of[i]
		if of.column.Type == schema.Tag {
			continue
		}
		if k := fieldAt(from, of.column); k >= 0 {
			of.keep(&from.Fields[k], keep)
		} else if !of.acceptsNull() {
			clear(keep)
		}
	}
	return gatherRows(from, setRows(keep))
}

func fieldAt(chunk *partition.Chunk, c schema.Column) int {
	return slices.IndexFunc(chunk.Fields, func(f partition.Field) bool { return f.ID == c.ID })
}

// series says which series of a snapshot have tags that are accepted; nil is all.
func (c *conditions) series(s *partition.Snapshot) []bool {
	var accepted []bool
	for i := range c.of {
		of := &c.of[i]
		if of.column.Type != schema.Tag {
			continue
		}
		tag := tagOf(s, of.column.ID)
		if tag == nil {
			tag = &partition.TagColumn{}
		}
		byValue := make([]bool, len(tag.Values)+1)
		byValue[0] = of.acceptsText("", false)
		for k, v := range tag.Values {
			byValue[k+1] = of.acceptsText(v, true)
		}
		if accepted == nil {
			accepted = slices.Repeat([]bool{true}, s.SeriesCount)
		}
		for k := range accepted {
			index := uint32(0)
			if k < len(tag.Index) {
				index = tag.Index[k]
			}
			accepted[k] = accepted[k] && byValue[index]
		}
	}
	return accepted
}
