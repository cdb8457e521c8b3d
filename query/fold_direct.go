package query

import (
	"context"
	"errors"
	"reflect"

	"github.com/siltstone-db/siltstone/schema"
)

// Where all that a statement asks is folded rows (fold.go), which DuckDB has nothing to merge with, they are
// its answer but for the order: each cell is one group. DuckDB would need a statement to be printed, parsed, bound,
// optimized and run by its threads for that, some ms, of which a dashboard's panel of an hour of
// a host consists. So the answer is made here, if it is known to be DuckDB's:
//
//   - the items are groups and aggregates, without anything around them;
//   - ORDER BY has groups, aggregates, their names or positions; LIMIT and OFFSET are constants;
//   - there is no HAVING;
//   - conditions on tags are equalities, by which rows were found (few.go, merging.go).
//
// Everything else goes on to DuckDB, with what was found already.

// foldColumn is a column of the answer, or a key of its order: a group or an aggregate.
type foldColumn struct {
	name string
	call *foldCall // nil: a group
	tag  int       // the group, of fold.tags; -1 is the bin
}

// foldOrder is one of ORDER BY.
type foldOrder struct {
	foldColumn

	descending, nullsFirst bool
}

// foldEnd is what is to be done with folded rows.
type foldEnd struct {
	columns []foldColumn
	orders  []foldOrder
	limit   int // -1: none
	offset  int
}

// directFold answers a statement from folded rows, or returns nil.
func (r *running) directFold(ctx context.Context, stmt *statement, used *columnNames) (*directAnswer, error) {
	if len(stmt.tables) != 1 || r.tables[0] == nil || r.compiled != nil || !r.folds(stmt, 0) {
		return nil, nil
	}
	t := r.tables[0]
	f, n := stmt.folderOf(ctx, r.querier.gate, 0, t)
	if f == nil || !isSame(n, stmt.query) {
		return nil, nil
	}
	end, err := f.end(n)
	if end == nil || err != nil {
		return nil, err
	}
	shownColumns := stmt.lineage([]*schema.Table{t.Table})
	if len(shownColumns) != len(end.columns) {
		return nil, nil
	}
	plan, err := planScan(ctx, t, &f.fold.where, used)
	if err != nil {
		return nil, err
	}
	r.early = plan
	if err := plan.verify(ctx, t); err != nil {
		return nil, err
	}
	cells, rows, err := r.foldEnough(&f.fold, end, plan, t)
	if errors.Is(err, errNoFold) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(rows) > maxDirectRows {
		return nil, nil
	}
	r.reports = append(r.reports, plan.report(t.Table, f.fold.where.time))
	return end.answer(cells, rows, shownColumns), nil
}

// folds reports whether the rows of a scan may be folded, if the statement allows it.
func (r *running) folds(stmt *statement, scan int) bool {
	return stmt.tables[scan].system == nil && stmt.prefix == "" && stmt.describes == "" &&
		!r.querier.opts.noFold && !r.noFold
}

// isSame reports whether two nodes are one.
func isSame(a, b node) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

// end reads what a SELECT that was looked through makes of folded rows; nil is for DuckDB.
func (f *folder) end(n node) (*foldEnd, error) {
	if len(n.child("cte_map").list("map")) > 0 || len(n.child("having")) > 0 {
		return nil, nil
	}
	end := &foldEnd{limit: -1}
	names := make(map[string]bool)
	for _, item := range f.items {
		c, ok, err := f.item(item)
		if !ok || err != nil || names[schema.FoldCase(c.name)] {
			return nil, err
		}
		names[schema.FoldCase(c.name)] = true
		end.columns = append(end.columns, c)
	}
	for _, m := range nodes(n.list("modifiers")) {
		ok := false
		switch m.str("type") {
		case "ORDER_MODIFIER":
			ok = f.addOrders(end, nodes(m.list("orders")))
		case "LIMIT_MODIFIER":
			ok = end.addLimit(m)
		}
		if !ok {
			return nil, nil
		}
	}
	return end, nil
}

// item returns the column of an item of the SELECT.
func (f *folder) item(n node) (c foldColumn, ok bool, err error) {
	if c, ok = f.value(n); !ok {
		return c, false, nil
	}
	if c.name = n.str("alias"); c.name != "" {
		return c, true, nil
	}
	switch column, known := f.column(n); {
	case known:
		names := n.list("column_names")
		c.name, _ = names[len(names)-1].(string)
		return c, c.name == column.Name, nil
	case c.call != nil:
		c.name, err = f.gate.printExpression(f.ctx, clone(n))
		return c, err == nil, err
	}
	return c, false, nil
}

// value returns the group or the aggregate that an expression is.
func (f *folder) value(n node) (foldColumn, bool) {
	for i := range f.calls {
		if isSame(f.calls[i].n, n) {
			return foldColumn{call: &f.calls[i], tag: -1}, true
		}
	}
	if !f.isGroup(n) {
		return foldColumn{}, false
	}
	if column, known := f.column(n); known {
		for i := range f.tags {
			if f.tags[i].ID == column.ID {
				return foldColumn{tag: i}, true
			}
		}
	}
	return foldColumn{tag: -1}, f.bin != nil && n.str("class") == "FUNCTION"
}

// addOrders reads ORDER BY.
func (f *folder) addOrders(end *foldEnd, orders []node) bool {
	for _, o := range orders {
		by := foldOrder{descending: o.str("type") == "DESCENDING"}
		switch o.str("null_order") {
		case "ORDER_DEFAULT", "NULLS LAST":
		case "NULLS FIRST":
			by.nullsFirst = true
		default:
			return false
		}
		n := o.child("expression")
		if n.str("class") == "STAR" {
			if n.str("relation_name") != "" || len(n.list("exclude_list"))+len(n.list("replace_list"))+len(n.list("rename_list")) > 0 || n["expr"] != nil {
				return false
			}
			for _, by.foldColumn = range end.columns {
				end.orders = append(end.orders, by)
			}
			continue
		}
		var ok bool
		if by.foldColumn, ok = f.key(end, n); !ok {
			return false
		}
		end.orders = append(end.orders, by)
	}
	return true
}

// key returns what an expression of ORDER BY means: in DuckDB an alias comes before a column.
func (f *folder) key(end *foldEnd, n node) (foldColumn, bool) {
	switch names := n.list("column_names"); {
	case n.str("class") == "CONSTANT":
		i, ok := integerConstant(n)
		if !ok || i < 1 || i > int64(len(end.columns)) {
			return foldColumn{}, false
		}
		return end.columns[i-1], true
	case n.str("class") == "COLUMN_REF" && len(names) == 1:
		name, _ := names[0].(string)
		for i, item := range f.items {
			if alias := item.str("alias"); alias != "" && schema.FoldCase(alias) == schema.FoldCase(name) {
				return end.columns[i], true
			}
		}
	}
	return f.value(n)
}

// addLimit reads LIMIT and OFFSET.
func (end *foldEnd) addLimit(m node) bool {
	ok := true
	read := func(n node, into *int) {
		if n == nil {
			return
		}
		v, isInteger := integerConstant(n)
		ok = ok && isInteger && v >= 0 && v <= maxDirectRows
		*into = int(v)
	}
	read(m.child("limit"), &end.limit)
	read(m.child("offset"), &end.offset)
	return ok
}
