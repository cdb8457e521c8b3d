package clients

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"
)

// precisions are those that every library knows, coarsest first.
var precisions = []string{"s", "ms", "us", "ns"}

// columnTypes are the types of fields as information_schema has them.
var columnTypes = map[string]string{
	"integer": "Int64", "uinteger": "UInt64", "float": "Float64", "string": "Utf8", "boolean": "Boolean",
}

const (
	tagType  = "Dictionary(Int32, Utf8)"
	timeType = "Timestamp(Nanosecond, None)"
)

// oddPoints are points that stress what a library escapes and how it prints numbers. The
// times fit any precision.
func (l library) oddPoints() []point {
	largest, least := "9223372036854775807", "-9223372036854775808"
	unsigned := "18446744073709551615"
	if l.safeIntegers {
		largest, least = "9007199254740991", "-9007199254740991"
		unsigned = largest
	}
	text := "one\ntwo\r\n\nfour"
	if l.escapesLines {
		text = `one\ntwo\r\n\nfour`
	}
	return []point{
		{
			Measurement: "kinds",
			Tags:        map[string]string{"host": "a"},
			Fields: []field{
				{"largest", "integer", largest},
				{"least", "integer", least},
				{"unsigned", "uinteger", unsigned},
				{"float", "float", "-273.15"},
				{"whole", "float", "21"},
				{"tiny", "float", "5e-324"},
				{"huge", "float", "1.7976931348623157e+308"},
				{"yes", "boolean", "true"},
				{"no", "boolean", "false"},
				{"string", "string", "dry"},
				{"empty", "string", ""},
			},
			Time: "1",
		},
		{
			Measurement: "we ather,station",
			Tags: map[string]string{
				"tag key": "a value", "tag,key": "a,value", "tag=key": "a=value",
				"größe": "α β", "quoted": `"yes"`, "path": `C:\temp`,
			},
			Fields: []field{
				{"field key", "float", "1.5"},
				{"field,key", "float", "2.5"},
				{"field=key", "float", "3.5"},
				{"höhe", "integer", "4"},
				{"quotes", "string", `she said "no", twice`},
				{"backslashes", "string", `C:\temp\new`},
				{"lines", "string", text},
				{"emoji", "string", "🌧 ☀"},
				{"hash", "string", "# no comment"},
			},
			Time: "2",
		},
		{Measurement: "kinds", Fields: []field{{"float", "float", "0.1"}}, Time: "1700000000"},
		{Measurement: "kinds", Fields: []field{{"float", "float", "0.2"}}, Time: "-1"},
	}
}

// TestPointsArriveAsTheyWereMeant shows K1.
func TestPointsArriveAsTheyWereMeant(t *testing.T) {
	srv := startServer(t)
	for i, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			l.needs(t)
			for _, precision := range precisions {
				for _, gzip := range []bool{false, true} {
					db := fmt.Sprintf("points_%d_%s_%t", i, precision, gzip)
					points := l.oddPoints()
					got := l.write(t, job{
						URL: srv.url, Token: "none-needed", Database: db,
						Precision: precision, Gzip: gzip, Points: points,
					})
					if !got.OK {
						t.Errorf("precision %s, gzip %t: %+v", precision, gzip, got)
						continue
					}
					if got.Version == "" {
						t.Error("the client finds no version of the server")
					}
					checkPoints(t, srv, db, precision, points)
				}
			}
		})
	}
}

// checkPoints compares tables, columns, types and values of a database with points.
func checkPoints(t *testing.T, srv *server, db, precision string, points []point) {
	t.Helper()
	want := make(map[string]map[string]string) // column types by table
	for _, p := range points {
		columns := want[p.Measurement]
		if columns == nil {
			columns = map[string]string{"time": timeType}
			want[p.Measurement] = columns
		}
		for key := range p.Tags {
			columns[key] = tagType
		}
		for _, f := range p.Fields {
			columns[f.Key] = columnTypes[f.Type]
		}
	}
	got := make(map[string]map[string]string)
	for _, r := range srv.query(db, "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'iox'") {
		table := r.text("table_name")
		if got[table] == nil {
			got[table] = make(map[string]string)
		}
		got[table][r.text("column_name")] = r.text("data_type")
	}
	if !maps.EqualFunc(got, want, maps.Equal) {
		t.Errorf("%s has the columns\n%v, not\n%v", db, got, want)
	}
	for table := range want {
		checkRows(t, srv, db, table, precision, points)
	}
}

// checkRows compares the rows of one table, in the order of time.
func checkRows(t *testing.T, srv *server, db, table, precision string, points []point) {
	t.Helper()
	points = slices.DeleteFunc(slices.Clone(points), func(p point) bool { return p.Measurement != table })
	slices.SortFunc(points, func(a, b point) int {
		return instant(t, a.Time, precision).Compare(instant(t, b.Time, precision))
	})
	rows := srv.query(db, fmt.Sprintf("SELECT * FROM %q ORDER BY time", table))
	if len(rows) != len(points) {
		t.Errorf("table %q of %s has the rows %v", table, db, rows)
		return
	}
	for i, p := range points {
		want := p.row(t, precision)
		got := rows[i].comparable(t)
		if !maps.Equal(got, want) {
			t.Errorf("a row of table %q of %s is\n%v, not\n%v", table, db, got, want)
		}
	}
}

// row is what a query has to say of a point. Numbers are of their Go type.
func (p point) row(t *testing.T, precision string) row {
	t.Helper()
	want := row{"time": instant(t, p.Time, precision)}
	for key, value := range p.Tags {
		want[key] = value
	}
	for _, f := range p.Fields {
		value, err := f.parsed()
		if err != nil {
			t.Fatal(err)
		}
		want[f.Key] = number(t, value)
	}
	return want
}

// comparable is the row with times and numbers that can be compared.
func (r row) comparable(t *testing.T) row {
	t.Helper()
	out := make(row, len(r))
	for key, value := range r {
		out[key] = number(t, value)
		if key == "time" {
			at, err := time.Parse("2006-01-02T15:04:05.999999999", r.text("time"))
			if err != nil {
				t.Fatal(err)
			}
			out[key] = at
		}
	}
	return out
}

// number turns the numbers of Go and of JSON into the same: integers into their digits,
// floats into the float. The column types have been compared before.
func number(t *testing.T, value any) any {
	t.Helper()
	switch value := value.(type) {
	case int64, uint64:
		return integer(fmt.Sprint(value))
	case json.Number:
		if _, err := strconv.ParseInt(value.String(), 10, 64); err == nil {
			return integer(value.String())
		}
		if _, err := strconv.ParseUint(value.String(), 10, 64); err == nil {
			return integer(value.String())
		}
		f, err := value.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	return value
}

// integer is a whole number as its digits.
type integer string
