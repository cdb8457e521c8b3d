package query

import (
	"slices"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// conditions is a WHERE clause that is a conjunction of comparisons of columns with constants.
type conditions struct {
	table *newestRelation
	time  schema.TimeRange
	of    []columnTests
}

// columnTests are those of one tag or field; all must hold.
type columnTests struct {
	column schema.Column
	tests  []valueTest
}

// valueTest accepts some values of a column. It accepts null only by isNull, and then nothing else.
type valueTest struct {
	isNull    bool
	isNotNull bool
	texts     func(string) bool // of a tag or string
	numbers   *numberTest       // of a number
}

// read notes a condition; it returns false for one that may mean something else to DuckDB.
func (c *conditions) read(n node) bool {
	if len(n) == 0 {
		return true
	}
	children := nodes(n.list("children"))
	switch n.str("type") {
	case "CONJUNCTION_AND":
		return !slices.ContainsFunc(children, func(part node) bool { return !c.read(part) })
	case "COMPARE_BETWEEN":
		return c.compare("COMPARE_GREATERTHANOREQUALTO", n.child("input"), n.child("lower")) &&
			c.compare("COMPARE_LESSTHANOREQUALTO", n.child("input"), n.child("upper"))
	case "COMPARE_LESSTHAN", "COMPARE_LESSTHANOREQUALTO", "COMPARE_GREATERTHAN", "COMPARE_GREATERTHANOREQUALTO",
		"COMPARE_EQUAL", "COMPARE_NOTEQUAL":
		if n.str("class") != "COMPARISON" {
			return false
		}
		if op := n.str("type"); c.compare(op, n.child("left"), n.child("right")) {
			return true
		} else if turned, ok := mirrored[op]; ok {
			return c.compare(turned, n.child("right"), n.child("left"))
		}
	case "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL":
		isNull := n.str("type") == "OPERATOR_IS_NULL"
		column, ok := c.table.column(children[0])
		if ok = ok && column.ID != 0; ok {
			c.add(column, valueTest{isNull: isNull, isNotNull: !isNull})
		}
		return ok
	case "COMPARE_IN", "COMPARE_NOT_IN":
		return c.in(children[0], children[1:], n.str("type") == "COMPARE_IN")
	}
	return false
}

func (c *conditions) add(column schema.Column, t valueTest) {
	i := slices.IndexFunc(c.of, func(have columnTests) bool { return have.column.ID == column.ID })
	if i < 0 {
		i = len(c.of)
		c.of = append(c.of, columnTests{column: column})
	}
	c.of[i].tests = append(c.of[i].tests, t)
}

// compare notes a comparison of a column with a constant.
func (c *conditions) compare(op string, left, right node) bool {
	column, ok := c.table.column(left)
	switch {
	case !ok:
		return false
	case column.ID == 0:
		return c.compareTime(op, right)
	case column.Type == schema.Tag || column.Type == schema.String:
		text, ok := stringConstant(right)
		if ok {
			c.add(column, valueTest{texts: textComparison(op, text)})
		}
		return ok
	}
	test, ok := newNumberTest(column.Type, op, right)
	if ok {
		c.add(column, valueTest{numbers: test})
	}
	return ok
}

// compareTime narrows the time.
func (c *conditions) compareTime(op string, constant node) bool {
	at, ok := evalInstant(constant)
	if !ok || op == "COMPARE_NOTEQUAL" {
		return false
	}
	c.time = c.time.Intersect(timesThat(op, at))
	return true
}

func textComparison(op, text string) func(string) bool {
	switch op {
	case "COMPARE_LESSTHAN":
		return func(v string) bool { return v < text }
	case "COMPARE_LESSTHANOREQUALTO":
		return func(v string) bool { return v <= text }
	case "COMPARE_GREATERTHAN":
		return func(v string) bool { return v > text }
	case "COMPARE_GREATERTHANOREQUALTO":
		return func(v string) bool { return v >= text }
	case "COMPARE_EQUAL":
		return func(v string) bool { return v == text }
	}
	return func(v string) bool { return v != text }
}

// in notes that a tag or string is one of some texts, or none of them.
func (c *conditions) in(left node, list []node, isIn bool) bool {
	column, ok := c.table.column(left)
	if !ok || column.ID == 0 || column.Type != schema.Tag && column.Type != schema.String {
		return false
	}
	var values []string
	for _, e := range list {
		text, ok := stringConstant(e)
		if !ok {
			return false
		}
		values = append(values, text)
	}
	isMember := memberOf(values)
	c.add(column, valueTest{texts: func(v string) bool { return isMember(v) == isIn }})
	return true
}

// acceptsText reports whether all tests accept a text; ok is false for null.
func (c *columnTests) acceptsText(v string, ok bool) bool {
	for i := range c.tests {
		if t := &c.tests[i]; t.isNull == ok || t.texts != nil && (!ok || !t.texts(v)) {
			return false
		}
	}
	return true
}

// acceptsNull reports whether all tests accept null.
func (c *columnTests) acceptsNull() bool {
	return !slices.ContainsFunc(c.tests, func(t valueTest) bool { return !t.isNull })
}

func (c *conditions) tagTests() (tests []persist.TagTest) {
	for i := range c.of {
		if of := &c.of[i]; of.column.Type == schema.Tag {
			tests = append(tests, persist.TagTest{Column: of.column.ID, Accepts: of.acceptsText})
		}
	}
	return tests
}

func (c *conditions) fieldTests() (tests []persist.FieldTest) {
	for i := range c.of {
		if of := &c.of[i]; of.column.Type != schema.Tag {
			keep := func(f *persist.FoundField, keep []uint64) {
				field := engine.FieldOf(f)
				of.keep(&field, keep)
			}
			tests = append(tests, persist.FieldTest{Column: of.column.ID, Keep: keep, Null: of.acceptsNull()})
		}
	}
	return tests
}

// keep clears the bits of the rows of a field that are not accepted.
func (c *columnTests) keep(f *partition.Field, keep []uint64) {
	for i := range c.tests {
		switch t := &c.tests[i]; {
		case t.isNull && f.Valid == nil:
			clear(keep)
		case t.isNull:
			for k := range keep {
				keep[k] &^= f.Valid[k]
			}
			continue
		case t.numbers != nil:
			t.numbers.keep(f, keep)
		case t.texts != nil:
			eachSet(keep, func(row int) bool { return t.texts(string(f.Bytes(row))) })
		}
		if f.Valid != nil {
			for k := range keep {
				keep[k] &= f.Valid[k]
			}
		}
	}
}

// eachSet clears the bits of which isKept is false.
func eachSet(keep []uint64, isKept func(row int) bool) {
	for i, word := range keep {
		for k := range 64 {
			if word>>k&1 != 0 && !isKept(64*i+k) {
				keep[i] &^= 1 << k
			}
		}
	}
}
