package persist

import (
	"iter"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/siltstone-db/siltstone/schema"
)

// RowGroups returns the number of row groups.
func (r *Reader) RowGroups() int { return len(r.footer.groupRows) }

// RowGroup yields the rows of one row group in file order, as Records does: the time and the
// given ones of Columns, in the order in which Columns has them; only the time for none.
func (r *Reader) RowGroup(group int, columns []schema.Column) iter.Seq2[arrow.RecordBatch, error] {
	return func(yield func(arrow.RecordBatch, error) bool) { r.rowGroup(group, columns, yield) }
}
