package catalog

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

// mustRefuse makes a change that must fail and checks that it left no trace, neither
// in memory nor on disk (C1). It returns the error.
func mustRefuse(t *testing.T, fs vfs.FS, o Options, change Change) error {
	t.Helper()
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	before, snapshot := observe(c), c.Schema()
	_, refusal := c.Define(change)
	if refusal == nil {
		t.Fatalf("accepted %+v", change)
	}
	mustHave(t, c, before)
	if c.Schema() != snapshot {
		t.Error("a refused change made a new snapshot")
	}
	mustClose(t, c)
	records := rawRecords(t, fs)
	reopened := mustOpen(t, fs)
	mustHave(t, reopened, before)
	mustClose(t, reopened)
	after := rawRecords(t, fs)
	for _, key := range [][]byte{runKey, commitsKey} { // each opening is a commit
		delete(records, string(key))
		delete(after, string(key))
	}
	if !maps.Equal(records, after) {
		t.Error("a refused change left records behind")
	}
	return refusal
}

func TestDefineRefusesAnotherType(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	mustDefine(t, c, table("db", "cpu", "usage"))
	mustClose(t, c)
	change := Change{Database: "db", Tables: []TableChange{
		{Name: "mem", Columns: []NewColumn{{"free", schema.Int64}}},
		{Name: "cpu", Columns: []NewColumn{{"host", schema.Tag}, {"usage", schema.String}}},
	}}
	err := mustRefuse(t, fs, testOptions(fs), change)
	var conflict *ConflictError
	if !errors.As(err, &conflict) {
		t.Fatalf("got %v, want a ConflictError", err)
	}
	want := ConflictError{Table: "cpu", Column: "usage", Have: schema.Float64, Want: schema.String}
	if *conflict != want {
		t.Errorf("got %+v, want %+v", *conflict, want)
	}
	const text = `table "cpu": invalid column type for column 'usage', ` +
		`expected iox::column_type::field::float, got iox::column_type::field::string`
	if err.Error() != text {
		t.Errorf("the text is %q", err)
	}
}

func TestDefineRefusesAChangeThatContradictsItself(t *testing.T) {
	fs := vfs.NewMem()
	err := mustRefuse(t, fs, testOptions(fs), Change{Database: "db", Tables: []TableChange{
		{Name: "t", Columns: []NewColumn{{"c", schema.Tag}}},
		{Name: "t", Columns: []NewColumn{{"c", schema.Bool}}},
	}})
	var conflict *ConflictError
	if !errors.As(err, &conflict) || conflict.Have != schema.Tag || conflict.Want != schema.Bool {
		t.Errorf("got %v, want a conflict of tag and boolean", err)
	}
}

func TestDefineKeepsLimits(t *testing.T) {
	for _, test := range []struct {
		name   string
		limits Limits
		change Change
		want   LimitError
		text   string
	}{
		{
			name:   "columns of an existing table",
			limits: Limits{Columns: 3},
			change: table("db", "t", "c", "d"),
			want:   LimitError{Kind: LimitColumns, Database: "db", Table: "t", Have: 3, Limit: 3},
			text:   "Update to schema would exceed number of columns per table limit of 3 columns",
		},
		{
			name:   "columns of a new table",
			limits: Limits{Columns: 3},
			change: table("db", "new", "a", "b", "c", "d"),
			want:   LimitError{Kind: LimitColumns, Database: "db", Table: "new", Have: 3, Limit: 3},
			text:   "Update to schema would exceed number of columns per table limit of 3 columns",
		},
		{
			name:   "tables, across databases",
			limits: Limits{Tables: 2},
			change: Change{Database: "other", Tables: []TableChange{{Name: "u"}, {Name: "v"}}},
			want:   LimitError{Kind: LimitTables, Database: "other", Table: "v", Have: 2, Limit: 2},
			text: "Update to schema would exceed number of tables limit: " +
				"attempted to create table but already have 2 table(s) (limit: 2)",
		},
		{
			name:   "databases",
			limits: Limits{Databases: 1},
			change: Change{Database: "other"},
			want:   LimitError{Kind: LimitDatabases, Database: "other", Have: 1, Limit: 1},
			text:   "Adding a new database would exceed limit of 1 databases",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := vfs.NewMem()
			c := mustOpen(t, fs)
			mustDefine(t, c, table("db", "t", "a", "b"))
			mustClose(t, c)
			o := testOptions(fs)
			o.Limits = test.limits
			err := mustRefuse(t, fs, o, test.change)
			var limit *LimitError
			if !errors.As(err, &limit) || *limit != test.want {
				t.Errorf("got %#v, want %#v", err, test.want)
			}
			if err.Error() != test.text {
				t.Errorf("the text is %q, want %q", err, test.text)
			}
		})
	}
}

func TestDefineRefusesWhatNoCallerShouldAsk(t *testing.T) {
	long := strings.Repeat("x", MaxNameBytes+1)
	column := func(name string, typ schema.ColumnType) Change {
		return Change{Database: "db", Tables: []TableChange{{Name: "t", Columns: []NewColumn{{name, typ}}}}}
	}
	for name, change := range map[string]Change{
		"empty database": {},
		"long database":  {Database: long},
		"empty table":    {Database: "db", Tables: []TableChange{{}}},
		"long table":     {Database: "db", Tables: []TableChange{{Name: long}}},
		"empty column":   column("", schema.Tag),
		"long column":    column(long, schema.Tag),
		"no type":        column("c", 0),
		"unknown type":   column("c", schema.Bool+1),
		"time":           column(schema.TimeColumn, schema.Int64),
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			if err := mustRefuse(t, fs, testOptions(fs), change); !errors.Is(err, ErrInvalidChange) {
				t.Errorf("got %v, want ErrInvalidChange", err)
			}
		})
	}
}

// mustRefuseAs checks a refusal that names an object.
func mustRefuseAs(t *testing.T, fs vfs.FS, change Change, want error) {
	t.Helper()
	if err := mustRefuse(t, fs, testOptions(fs), change); !reflect.DeepEqual(err, want) {
		t.Errorf("got %#v, want %#v", err, want)
	}
}

func TestDefineInADatabaseThatMustExistDoesNotMakeIt(t *testing.T) {
	fs := vfs.NewMem()
	change := table("db", "t", "a")
	change.MustExist = true
	mustRefuseAs(t, fs, change, &NotFoundError{ObjectDatabase, "db"})
	c := mustOpen(t, fs)
	mustDo(t, c.CreateDatabase("db", 0))
	if db, _ := mustDefine(t, c, change).Database("db"); len(db.Tables()) != 1 {
		t.Errorf("the database exists, and has the tables %v", db.Tables())
	}
	mustDo(t, c.DeleteDatabase("db", 0))
	mustClose(t, c)
	mustRefuseAs(t, fs, change, &NotFoundError{ObjectDatabase, "db"})
}

func TestDefineOfATableByIDMeansNoOtherOfItsName(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	db, _ := mustDefine(t, c, table("db", "t", "a")).Database("db")
	first, _ := db.Table("t")
	change := table("db", "t", "b")
	change.Tables[0].ID = first.ID
	changed, _ := mustDefine(t, c, change).TableByID(first.ID)
	if _, ok := changed.Column("b"); !ok {
		t.Errorf("the columns are %v", changed.Columns)
	}
	change.Tables[0].Columns[0].Name = "c"
	mustDo(t, c.DeleteTable("db", "t", 0))
	mustClose(t, c)
	gone := &NotFoundError{ObjectTable, "t"}
	mustRefuseAs(t, fs, change, gone) // rather than make it anew
	c = mustOpen(t, fs)
	mustDefine(t, c, table("db", "t", "a"))
	mustClose(t, c)
	mustRefuseAs(t, fs, change, gone) // rather than change the new one
	change.Tables = append([]TableChange{{Name: "u", Columns: []NewColumn{{"a", schema.Tag}}}}, change.Tables...)
	mustRefuseAs(t, fs, change, gone) // all of it or nothing
}

func TestDefineOfATableThatMustBeNewRefusesOneThatExists(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	change := table("db", "t", "a")
	change.Tables[0].MustBeNew = true
	mustDefine(t, c, change)
	mustClose(t, c)
	mustRefuseAs(t, fs, change, &ExistsError{ObjectTable, "t"})
	c = mustOpen(t, fs)
	mustDo(t, c.DeleteTable("db", "t", 0))
	if db, _ := mustDefine(t, c, change).Database("db"); len(db.Tables()) != 1 {
		t.Error("the name of a deleted table is not free")
	}
	mustClose(t, c)
}

func TestColumnsOfAnInternalDatabaseAreNotLimited(t *testing.T) {
	o := testOptions(vfs.NewMem())
	o.Limits = Limits{Columns: 1}
	c, err := Open(o)
	mustDo(t, err)
	defer mustClose(t, c)
	mustDefine(t, c, table("_internal", "t", "a", "b"))
	var limit *LimitError
	if _, err := c.Define(table("db", "t", "a", "b")); !errors.As(err, &limit) {
		t.Errorf("a user's table: %v, want a LimitError", err)
	}
}

func TestDefineOfWhatExistsWritesNothing(t *testing.T) {
	fs := vfs.NewMem()
	writes := 0
	c := mustOpen(t, hookFS(fs, countWrites(&writes)))
	defer mustClose(t, c)
	change := table("db", "t", "a", "b", "a")
	change.Tables = append(change.Tables, change.Tables[0])
	first := mustDefine(t, c, change)
	before := writes
	if again := mustDefine(t, c, change); again != first {
		t.Error("a change without news made a new snapshot")
	}
	if writes != before {
		t.Errorf("a change without news made %d writes", writes-before)
	}
	if n := first.TableCount(); n != 1 {
		t.Errorf("there are %d tables, want 1", n)
	}
}

// TestConcurrentConflictHasOneWinner lets two writers define the same columns with
// different types; each column must go to exactly one, and a loser must have left nothing.
func TestConcurrentConflictHasOneWinner(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	const rounds = 100
	types := []schema.ColumnType{schema.Float64, schema.String}
	var won [2][rounds]bool
	var wg sync.WaitGroup
	for w, typ := range types {
		wg.Go(func() {
			for i := range rounds {
				_, err := c.Define(Change{Database: "db", Tables: []TableChange{{
					Name:    fmt.Sprint(i),
					Columns: []NewColumn{{fmt.Sprint("only ", w), schema.Tag}, {"value", typ}},
				}}})
				var conflict *ConflictError
				if err != nil && !errors.As(err, &conflict) {
					t.Error(err)
				}
				won[w][i] = err == nil
			}
		})
	}
	wg.Wait()
	want := observe(c)
	for i := range rounds {
		if won[0][i] == won[1][i] {
			t.Fatalf("round %d: the writers' successes are %v and %v", i, won[0][i], won[1][i])
		}
		winner := 0
		if won[1][i] {
			winner = 1
		}
		db, _ := c.Schema().Database("db")
		def, _ := db.Table(fmt.Sprint(i))
		if col, _ := def.Column("value"); col.Type != types[winner] || len(def.Columns) != 2 {
			t.Fatalf("round %d: writer %d won, but the columns are %v", i, winner, def.Columns)
		}
	}
	mustClose(t, c)
	c = mustOpen(t, fs)
	defer mustClose(t, c)
	mustHave(t, c, want)
}
