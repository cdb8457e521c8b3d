package transfer

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/siltstone-db/siltstone/schema"
)

// Influx asks a running InfluxDB 1.
type Influx struct {
	// Ask sends one statement of InfluxQL and returns the body of the answer, JSON with times
	// in nanoseconds, in documents of that many rows. The caller closes it.
	Ask func(ctx context.Context, statement string, rows int) (io.ReadCloser, error)
}

// InfluxSource is a measurement in a retention policy.
type InfluxSource struct {
	Database, Policy, Measurement string
	// Fields have each the type under which it is read.
	Fields []Column
	// Notes say what about the fields is not plain.
	Notes []string
}

// String names the source as InfluxQL has it, without quotes.
func (s InfluxSource) String() string {
	return s.Database + "." + s.Policy + "." + s.Measurement
}

// from names the source in a statement.
func (s InfluxSource) from() string {
	return quoteInflux(s.Database) + "." + quoteInflux(s.Policy) + "." + quoteInflux(s.Measurement)
}

// quoteInflux makes an identifier of InfluxQL.
func quoteInflux(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(name) + `"`
}

// influxRows is how many rows a document of an answer has.
const influxRows = 5_000

// list returns the rows of an answer, each with the name of its series in front.
func (f Influx) list(ctx context.Context, statement string) (rows [][]string, err error) {
	body, err := f.Ask(ctx, statement, influxRows)
	if err != nil {
		return nil, err
	}
	rows, err = newInfluxAnswer(body).texts()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", statement, err)
	}
	return rows, nil
}

// internalDatabase is InfluxDB's own.
const internalDatabase = "_internal"

// Databases lists the databases but InfluxDB's own.
func (f Influx) Databases(ctx context.Context) (names []string, err error) {
	rows, err := f.list(ctx, "SHOW DATABASES")
	for _, r := range rows {
		if r[1] != internalDatabase {
			names = append(names, r[1])
		}
	}
	return names, err
}

// Sources lists what a database holds: each measurement in each retention policy in which
// it has fields.
func (f Influx) Sources(ctx context.Context, database string) (all []InfluxSource, err error) {
	policies, err := f.list(ctx, "SHOW RETENTION POLICIES ON "+quoteInflux(database))
	if err != nil {
		return nil, err
	}
	for _, p := range policies {
		fields, err := f.list(ctx, "SHOW FIELD KEYS FROM "+quoteInflux(database)+"."+quoteInflux(p[1])+"./.*/")
		if err != nil {
			return nil, err
		}
		for len(fields) > 0 {
			n := slices.IndexFunc(fields, func(row []string) bool { return row[0] != fields[0][0] })
			if n < 0 {
				n = len(fields)
			}
			s := InfluxSource{Database: database, Policy: p[1], Measurement: fields[0][0]}
			s.setFields(fields[:n])
			all, fields = append(all, s), fields[n:]
		}
	}
	return all, nil
}

// influxTypes are the types of fields; of one that has several, in different shards, the
// order is that in which InfluxDB itself prefers them.
var influxTypes = []struct {
	name string
	typ  schema.ColumnType
}{{"float", schema.Float64}, {"integer", schema.Int64}, {"unsigned", schema.Uint64}, {"string", schema.String}, {"boolean", schema.Bool}}

func influxTypeName(typ schema.ColumnType) string {
	for _, t := range influxTypes {
		if t.typ == typ {
			return t.name
		}
	}
	return "field"
}

// setFields takes rows of a measurement, a field and a type, and chooses the type under which
// each field is read. InfluxDB gives integers as
// floats to who asks for floats; other types stay apart, and the column can have one only.
func (s *InfluxSource) setFields(rows [][]string) {
	types := map[string][]string{}
	var names []string
	for _, r := range rows {
		name, typ := r[1], r[2]
		if types[name] == nil {
			names = append(names, name)
		}
		types[name] = append(types[name], typ)
	}
	for _, name := range names {
		has := types[name]
		for _, t := range influxTypes {
			if !slices.Contains(has, t.name) {
				continue
			}
			s.Fields = append(s.Fields, Column{name, t.typ})
			if len(has) > 1 {
				s.Notes = append(s.Notes, conflict(name, t.name, has))
			}
			break
		}
	}
}

// conflict says what becomes of a field of several types.
func conflict(name, chosen string, has []string) string {
	slices.Sort(has)
	var lost []string
	for _, t := range has {
		if chosen != t && (t == "string" || t == "boolean") {
			lost = append(lost, t)
		}
	}
	note := fmt.Sprintf("field %q has several types (%s); it is copied as %s", name, strings.Join(has, ", "), chosen)
	if len(lost) > 0 {
		note += ", and values of type " + strings.Join(lost, " or ") + " are left out"
	}
	return note
}
