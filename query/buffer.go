package query

import (
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
)

// bufferFunction is the name of the table function that hands buffered rows to DuckDB. Its
// argument is a handle, which is random, so that a text that got past the gate still
// could not read another query's rows.
const bufferFunction = "siltstone_buffer"

// vectorRows is DuckDB's vector size: what it takes at a time.
const vectorRows = 2048

// bufferRegistry finds the rows behind a handle.
type bufferRegistry struct {
	threads int

	mu struct {
		sync.Mutex
		sources map[string]*bufferSource
	}
}

// bufferSource is the rows behind one handle. It and all it refers to stay in place until
// the query that registered it has ended.
type bufferSource struct {
	columns   []schema.Column // as bound; then the order column, if withOrder
	withOrder bool
	pieces    []rowRun // at most vectorRows rows each
	rows      int
	threads   int
	merged    *mergedRows // instead of pieces, or nil

	mu struct {
		sync.Mutex
		pinner runtime.Pinner // keeps strings in place that DuckDB's vectors point to
		fault  error          // what a callback recovered from
	}
}

// register makes rows available and returns their handle.
func (g *bufferRegistry) register(rows []rowRun, columns []schema.Column, withOrder bool) (handle string, s *bufferSource) {
	s = &bufferSource{columns: columns, withOrder: withOrder, threads: g.threads}
	for _, run := range rows {
		s.rows += run.count
		s.pieces = appendPieces(s.pieces, run)
	}
	return g.add(s), s
}

// registerMerged makes rows available that are merged while they are scanned.
func (g *bufferRegistry) registerMerged(rows *mergedRows, columns []schema.Column) (handle string, s *bufferSource) {
	s = &bufferSource{columns: columns, threads: g.threads, merged: rows, rows: rows.m.rows()}
	return g.add(s), s
}

func (g *bufferRegistry) add(s *bufferSource) (handle string) {
	handle = rand.Text()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.sources == nil {
		g.mu.sources = make(map[string]*bufferSource)
	}
	g.mu.sources[handle] = s
	return handle
}

// release forgets a handle. No scan of it may be running.
func (g *bufferRegistry) release(handle string) {
	g.mu.Lock()
	s := g.mu.sources[handle]
	delete(g.mu.sources, handle)
	g.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.pinner.Unpin()
	if s.merged != nil {
		s.merged.m.close()
	}
}

func (g *bufferRegistry) find(handle string) (*bufferSource, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, ok := g.mu.sources[handle]
	return s, ok
}

// appendPieces cuts a run into pieces of a vector's size.
func appendPieces(pieces []rowRun, run rowRun) []rowRun {
	for done := 0; done < run.count; done += vectorRows {
		piece := run
		piece.count = min(vectorRows, run.count-done)
		if run.rows != nil {
			piece.rows = run.rows[done : done+piece.count]
		} else {
			piece.start = run.start + done
		}
		pieces = append(pieces, piece)
	}
	return pieces
}

// pin keeps the object that p points into where it is until the source is released.
func (s *bufferSource) pin(p *byte) uintptr {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.pinner.Pin(p)
	return uintptr(unsafe.Pointer(p))
}

// fail records a fault of ours; the first one counts.
func (s *bufferSource) fail(fault any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.fault == nil {
		s.mu.fault = fmt.Errorf("query: fault in the buffer scan: %v", fault)
	}
	return s.mu.fault
}

func (s *bufferSource) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.fault
}

// bind declares the columns.
func (s *bufferSource) bind(info mapping.BindInfo) {
	for _, c := range s.columns {
		addColumn(info, columnName(c), duckType(c))
	}
	if s.withOrder {
		addColumn(info, orderColumn, mapping.TypeBigInt)
	}
	mapping.BindSetCardinality(info, mapping.IdxT(s.rows), true)
}

func addColumn(info mapping.BindInfo, name string, t mapping.Type) {
	typ := mapping.CreateLogicalType(t)
	mapping.BindAddResultColumn(info, name, typ)
	mapping.DestroyLogicalType(&typ)
}

func duckType(c schema.Column) mapping.Type {
	switch c.Type {
	case schema.Tag, schema.String:
		return mapping.TypeVarchar
	case schema.Float64:
		return mapping.TypeDouble
	case schema.Int64:
		return mapping.TypeBigInt
	case schema.Uint64:
		return mapping.TypeUBigInt
	case schema.Bool:
		return mapping.TypeBoolean
	}
	return mapping.TypeTimestampNS
}

// bufferScan is one scan of a source. Threads take piece after piece.
type bufferScan struct {
	source *bufferSource
	next   atomic.Int64
	merged mergedScan // where the source has merged rows
	fills  []fill     // by projected column
}

// fill writes one column of a piece into a vector.
type fill func(vec mapping.Vector, piece *rowRun)

var errNoColumn = errors.New("projected column does not exist")

// newScan prepares a scan of some columns, each given by its index as bound.
func (s *bufferSource) newScan(projection []uint64) (*bufferScan, error) {
	scan := &bufferScan{source: s, merged: mergedScan{rows: s.merged}}
	for _, index := range projection {
		var f fill
		switch {
		case index < uint64(len(s.columns)) && s.merged != nil:
			f = s.mergedFill(s.columns[index], scan)
		case index < uint64(len(s.columns)):
			f = s.columnFill(s.columns[index])
		case s.withOrder && index == uint64(len(s.columns)):
			f = fillOrder
		case index >= 1<<63:
			f = func(mapping.Vector, *rowRun) {} // a virtual column, asked for where only the number of rows matters
		default:
			return nil, errNoColumn
		}
		scan.fills = append(scan.fills, f)
	}
	return scan, nil
}

func (s *bufferSource) columnFill(c schema.Column) fill {
	switch {
	case c.ID == 0:
		return fillTime
	case c.Type == schema.Tag:
		return s.tagFill(c.ID)
	}
	fields := make(map[*partition.Chunk]fieldData)
	for i := range s.pieces {
		chunk := s.pieces[i].chunk
		if _, ok := fields[chunk]; ok {
			continue
		}
		var d fieldData
		if k := slices.IndexFunc(chunk.Fields, func(f partition.Field) bool { return f.ID == c.ID }); k >= 0 {
			d.field = &chunk.Fields[k]
			if len(d.field.Data) > 0 {
				d.base = s.pin(&d.field.Data[0])
			}
		}
		fields[chunk] = d
	}
	return func(vec mapping.Vector, piece *rowRun) { fillField(vec, piece, fields[piece.chunk]) }
}

// mergedFill is columnFill for merged rows, whose chunks are still to be made.
func (s *bufferSource) mergedFill(c schema.Column, scan *bufferScan) fill {
	switch {
	case c.ID == 0:
		return fillTime
	case c.Type == schema.Tag:
		return s.newTagStrings(s.merged.snapshot, c.ID).fill
	}
	scan.merged.fields = append(scan.merged.fields, c)
	return func(vec mapping.Vector, piece *rowRun) { fillField(vec, piece, fieldData{field: piece.field(c.ID)}) }
}

// next fills a chunk of DuckDB's with the next piece; a chunk without rows ends the scan.
func (scan *bufferScan) fill(output mapping.DataChunk) {
	piece := scan.take()
	if piece == nil {
		mapping.DataChunkSetSize(output, 0)
		return
	}
	for k, f := range scan.fills {
		f(mapping.DataChunkGetVector(output, mapping.IdxT(k)), piece)
	}
	mapping.DataChunkSetSize(output, mapping.IdxT(piece.count))
}

// take returns the next piece, nil at the end.
func (scan *bufferScan) take() *rowRun {
	if scan.source.merged != nil {
		piece, err := scan.merged.take()
		if err != nil {
			panic(err) // which the callback hands on
		}
		return piece
	}
	i := int(scan.next.Add(1)) - 1
	if i >= len(scan.source.pieces) {
		return nil
	}
	return &scan.source.pieces[i]
}

// piecesPerThread is what is worth a thread of its own: to wake one takes as long as some pieces.
const piecesPerThread = 8

// threadCount is how many threads may work on the scan.
func (scan *bufferScan) threadCount() int {
	if m := scan.source.merged; m != nil {
		return max(1, min(scan.source.threads, len(m.m.units)))
	}
	return max(1, min(scan.source.threads, len(scan.source.pieces)/piecesPerThread))
}
