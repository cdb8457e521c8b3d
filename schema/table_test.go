package schema

import (
	"slices"
	"testing"
)

func TestColumnsAreFoundByNameAndID(t *testing.T) {
	table := NewTable(7, 3, "cpu", nil).
		With([]Column{{Name: "host", Type: Tag}, {Name: "usage", Type: Float64}}).
		With([]Column{{Name: "region", Type: Tag}})
	for i, want := range []Column{{ID: 1, Name: "host", Type: Tag}, {ID: 2, Name: "usage", Type: Float64}, {ID: 3, Name: "region", Type: Tag}} {
		byName, _ := table.Column(want.Name)
		byID, _ := table.ColumnByID(want.ID)
		if table.Columns[i] != want || byName != want || byID != want {
			t.Errorf("column %d: by name %v, by id %v, want %v", i, byName, byID, want)
		}
	}
	if got := table.Tags(); !slices.Equal(got, []Column{{ID: 1, Name: "host", Type: Tag}, {ID: 3, Name: "region", Type: Tag}}) {
		t.Errorf("the tags are %v", got)
	}
	for _, id := range []ColumnID{0, 4, 1 << 31} {
		if c, ok := table.ColumnByID(id); ok {
			t.Errorf("found %v as column %d", c, id)
		}
	}
	if c, ok := table.Column("time"); ok {
		t.Errorf("found %v, but time is not listed", c)
	}
}

func TestWithLeavesTheTableAsItIs(t *testing.T) {
	before := NewTable(1, 1, "t", []Column{{ID: 1, Name: "a", Type: Tag}})
	one := before.With([]Column{{Name: "b", Type: Int64}})
	two := before.With([]Column{{Name: "c", Type: Bool}})
	if len(before.Columns) != 1 || one.Columns[1].Name != "b" || two.Columns[1].Name != "c" {
		t.Errorf("the columns are %v, %v and %v", before.Columns, one.Columns, two.Columns)
	}
}

func TestTagsAreACopy(t *testing.T) {
	table := NewTable(1, 1, "t", []Column{{ID: 1, Name: "f", Type: Int64}, {ID: 2, Name: "a", Type: Tag}, {ID: 3, Name: "b", Type: Tag}})
	table.Tags()[0].Name = "changed"
	if !slices.Equal(table.Columns, []Column{{ID: 1, Name: "f", Type: Int64}, {ID: 2, Name: "a", Type: Tag}, {ID: 3, Name: "b", Type: Tag}}) {
		t.Errorf("the columns are %v", table.Columns)
	}
}

func TestNewTableRefusesGapsInIds(t *testing.T) {
	for _, columns := range [][]Column{{{ID: 2, Name: "a", Type: Tag}}, {{ID: 0, Name: "a", Type: Tag}}, {{ID: 1, Name: "a", Type: Tag}, {ID: 1, Name: "b", Type: Tag}}, {{ID: 1, Name: "a", Type: Tag}, {ID: 3, Name: "b", Type: Tag}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("accepted %v", columns)
				}
			}()
			NewTable(1, 1, "t", columns)
		}()
	}
}

// TestColumnTypesKeepTheirNumbers pins values that are in files.
func TestColumnTypesKeepTheirNumbers(t *testing.T) {
	for typ, want := range map[ColumnType]struct {
		number uint8
		name   string
	}{
		Tag:     {1, "iox::column_type::tag"},
		Float64: {2, "iox::column_type::field::float"},
		Int64:   {3, "iox::column_type::field::integer"},
		Uint64:  {4, "iox::column_type::field::uinteger"},
		String:  {5, "iox::column_type::field::string"},
		Bool:    {6, "iox::column_type::field::boolean"},
	} {
		if uint8(typ) != want.number || typ.String() != want.name || !typ.Valid() {
			t.Errorf("type %d is %s, want %d and %s", typ, typ, want.number, want.name)
		}
	}
	for _, typ := range []ColumnType{0, 7, 255} {
		if typ.Valid() {
			t.Errorf("%s is valid", typ)
		}
	}
}
