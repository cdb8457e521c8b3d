package sqltext

import (
	"testing"

	"github.com/siltstone-db/siltstone/schema"
)

func TestNamesAreListed(t *testing.T) {
	if got, want := Names([]string{"time", `"x"`}), `"time", """x"""`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := Names(nil); got != "" {
		t.Errorf("of none: %q", got)
	}
}

func TestQuotesAreDoubled(t *testing.T) {
	for in, want := range map[string][2]string{
		"":                 {`""`, "''"},
		"host":             {`"host"`, "'host'"},
		`it's "x"`:         {`"it's ""x"""`, `'it''s "x"'`},
		`'; DROP TABLE --`: {`"'; DROP TABLE --"`, `'''; DROP TABLE --'`},
	} {
		if got := [2]string{Name(in), Literal(in)}; got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestEveryTypeHasAName(t *testing.T) {
	for typ, want := range map[schema.ColumnType]string{
		0: "TIMESTAMP_NS", schema.Tag: "VARCHAR", schema.String: "VARCHAR", schema.Float64: "DOUBLE",
		schema.Int64: "BIGINT", schema.Uint64: "UBIGINT", schema.Bool: "BOOLEAN",
	} {
		if got := Type(typ); got != want {
			t.Errorf("%v is %s, want %s", typ, got, want)
		}
	}
}
