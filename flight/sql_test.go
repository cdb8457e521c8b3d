package flight_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/schema_ref"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc/codes"
)

// redeem reads what a FlightInfo promises. Its error may be that of the call before.
func redeem(ctx context.Context, c *flightsql.Client, info *arrowflight.FlightInfo, err error) (schema *arrow.Schema, lines string, _ error) {
	if err != nil {
		return nil, "", err
	}
	if len(info.Endpoint) != 1 || len(info.Endpoint[0].Location) != 0 {
		return nil, "", fmt.Errorf("the endpoints are %v", info.Endpoint)
	}
	schema, lines, err = read(ctx, c.Client, info.Endpoint[0].GetTicket().GetTicket())
	if err == nil && len(info.Schema) > 0 {
		promised, err := arrowflight.DeserializeSchema(info.Schema, memory.DefaultAllocator)
		if err != nil {
			return nil, "", err
		}
		if !promised.Equal(schema) {
			return nil, "", fmt.Errorf("the promised schema is %v\n  the answered one is %v", promised, schema)
		}
	}
	return schema, lines, err
}

func TestStatementsAreAnswered(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c, ctx := s.sql(), in("db")
	for _, test := range []struct{ sql, want string }{
		{"SELECT host, usage FROM cpu ORDER BY time", "a 1.5\nb 2.5\n"},
		{"select 1", "1\n"},
		{"SELECT sum(n) FROM cpu", "3\n"},
		{"SELECT * FROM cpu WHERE false", ""},
		{"SELECT max(time) FROM cpu", "1970-01-01T00:00:02\n"},
		{"SELECT table_name FROM information_schema.tables WHERE table_schema = 'iox'", "cpu\n"},
	} {
		info, err := c.Execute(ctx, test.sql)
		_, got, err := redeem(ctx, c, info, err)
		if err != nil || got != test.want {
			t.Errorf("%s\n answered %q, %v\n    want %q", test.sql, got, err, test.want)
		}
	}
}

// Which error a client gets does not depend on when it could be known.
func TestStatementsAreRefusedWhenTheyArePlanned(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c := s.sql()
	for _, test := range []struct {
		sql  string
		code codes.Code
		text string
	}{
		{"SELECT none FROM cpu", codes.InvalidArgument, `"none" not found`},
		{"SELECT 1 FROM none", codes.InvalidArgument, "table 'public.iox.none' not found"},
		{"SELECT n FROM cpu WHERE host = $host", codes.InvalidArgument, "No value found for placeholder with name $host"},
		{"DROP TABLE cpu", codes.InvalidArgument, "only SELECT"},
	} {
		_, err := c.Execute(in("db"), test.sql)
		refused(t, err, test.code, test.text)
	}
	_, err := c.Execute(in("none"), "SELECT 1")
	refused(t, err, codes.NotFound, "database not found: none")
}

func TestTheDatabaseComesFromTheMetadata(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c := s.sql()
	for _, key := range []string{"database", "bucket", "bucket-name", "iox-namespace-name"} {
		ctx := in("", key, "db")
		info, err := c.Execute(ctx, "SELECT count(*) FROM cpu")
		if _, got, err := redeem(ctx, c, info, err); got != "2\n" || err != nil {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	if _, err := c.Execute(in("db", "bucket", "db"), "SELECT 1"); err != nil {
		t.Errorf("the same name twice: %v", err)
	}
	_, err := c.Execute(context.Background(), "SELECT 1")
	refused(t, err, codes.InvalidArgument, "no 'database' header in request")
	_, err = c.Execute(in("db", "bucket", "other"), "SELECT 1")
	refused(t, err, codes.InvalidArgument, "two databases")
}

// bind makes a row of parameters; a value's type is the column's.
func bind(t *testing.T, names []string, columns ...arrow.Array) arrow.RecordBatch {
	t.Helper()
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: names[i], Type: c.DataType(), Nullable: true}
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, int64(columns[0].Len()))
}

// parse makes a column of a type from JSON.
func parse(t *testing.T, typ arrow.DataType, json string) arrow.Array {
	t.Helper()
	column, _, err := array.FromJSON(memory.DefaultAllocator, typ, strings.NewReader(json))
	if err != nil {
		t.Fatal(err)
	}
	return column
}

func TestPreparedStatementsTakeParametersOfEachType(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c, ctx := s.sql(), in("db")
	dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	decimal := array.NewDecimal128Builder(memory.DefaultAllocator, &arrow.Decimal128Type{Precision: 10, Scale: 2})
	decimal.Append(decimal128.FromI64(150))
	for _, test := range []struct {
		name, sql string
		column    arrow.Array
		want      string
	}{
		{"string", "SELECT n FROM cpu WHERE host = $1", parse(t, arrow.BinaryTypes.String, `["b"]`), "2\n"},
		{"large string", "SELECT n FROM cpu WHERE host = $1", parse(t, arrow.BinaryTypes.LargeString, `["b"]`), "2\n"},
		{"string view", "SELECT n FROM cpu WHERE host = $1", parse(t, arrow.BinaryTypes.StringView, `["b"]`), "2\n"},
		{"dictionary", "SELECT n FROM cpu WHERE host = $1", parse(t, dictionary, `["b"]`), "2\n"},
		{"quotes", "SELECT $1 AS x", parse(t, arrow.BinaryTypes.String, `["' OR '1'='1"]`), "' OR '1'='1\n"},
		{"bool", "SELECT n FROM cpu WHERE ok = $1", parse(t, arrow.FixedWidthTypes.Boolean, `[false]`), "2\n"},
		{"int8", "SELECT host FROM cpu WHERE n = $1", parse(t, arrow.PrimitiveTypes.Int8, `[2]`), "b\n"},
		{"int16", "SELECT host FROM cpu WHERE n = $1", parse(t, arrow.PrimitiveTypes.Int16, `[2]`), "b\n"},
		{"int32", "SELECT host FROM cpu WHERE n = $1", parse(t, arrow.PrimitiveTypes.Int32, `[2]`), "b\n"},
		{"int64", "SELECT $1 AS x", parse(t, arrow.PrimitiveTypes.Int64, `[-9223372036854775808]`), "-9223372036854775808\n"},
		{"uint8", "SELECT host FROM cpu WHERE n = $1", parse(t, arrow.PrimitiveTypes.Uint8, `[2]`), "b\n"},
		{"uint16", "SELECT host FROM cpu WHERE n = $1", parse(t, arrow.PrimitiveTypes.Uint16, `[2]`), "b\n"},
		{"uint32", "SELECT host FROM cpu WHERE n = $1", parse(t, arrow.PrimitiveTypes.Uint32, `[2]`), "b\n"},
		{"uint64", "SELECT $1 AS x", parse(t, arrow.PrimitiveTypes.Uint64, `["18446744073709551615"]`), "18446744073709551615\n"},
		{"float32", "SELECT n FROM cpu WHERE usage = $1", parse(t, arrow.PrimitiveTypes.Float32, `[2.5]`), "2\n"},
		{"float64", "SELECT $1 AS x", parse(t, arrow.PrimitiveTypes.Float64, `[2]`), "2\n"},
		{"decimal", "SELECT n FROM cpu WHERE usage = $1", decimal.NewArray(), "1\n"},
		{"nanoseconds", "SELECT n FROM cpu WHERE time > $1", parse(t, arrow.FixedWidthTypes.Timestamp_ns, `["1970-01-01T00:00:01.000000001Z"]`), "2\n"},
		{"seconds", "SELECT n FROM cpu WHERE time = $1", parse(t, arrow.FixedWidthTypes.Timestamp_s, `["1970-01-01T00:00:01Z"]`), "1\n"},
		{"time as text", "SELECT n FROM cpu WHERE time = $1", parse(t, arrow.BinaryTypes.String, `["1970-01-01T00:00:01Z"]`), "1\n"},
		{"date", "SELECT n FROM cpu WHERE time > $1 ORDER BY time", parse(t, arrow.FixedWidthTypes.Date32, `["1970-01-01"]`), "1\n2\n"},
		{"null", "SELECT n FROM cpu WHERE name IS NOT DISTINCT FROM $1", parse(t, arrow.BinaryTypes.String, `[null]`), "2\n"},
		{"null of no type", "SELECT n FROM cpu WHERE name IS NOT DISTINCT FROM $1", array.NewNull(1), "2\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := c.Prepare(ctx, test.sql)
			if err != nil {
				t.Fatal(err)
			}
			p.SetParameters(bind(t, []string{"0"}, test.column))
			info, err := p.Execute(ctx)
			if _, got, err := redeem(ctx, c, info, err); err != nil || got != test.want {
				t.Errorf("answered %q, %v; want %q", got, err, test.want)
			}
			if err := p.Close(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPreparedStatementsSayWhatTheyTakeAndGive(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c, ctx := s.sql(), in("db")
	p, err := c.Prepare(ctx, "SELECT host, n FROM cpu WHERE usage > $low AND host = $host AND time < $end")
	if err != nil {
		t.Fatal(err)
	}
	var columns, params []string
	for _, f := range p.DatasetSchema().Fields() {
		columns = append(columns, f.Name+" "+f.Type.String())
	}
	for _, f := range p.ParameterSchema().Fields() {
		params = append(params, f.Name+" "+f.Type.String())
	}
	if got, want := strings.Join(columns, ", "), "host utf8, n int64"; got != want {
		t.Errorf("the answer has %s; want %s", got, want)
	}
	if got, want := strings.Join(params, ", "), "$low float64, $host utf8, $end timestamp[ms]"; got != want {
		t.Errorf("the parameters are %s; want %s", got, want)
	}

	floats, texts := parse(t, arrow.PrimitiveTypes.Float64, `[0]`), parse(t, arrow.BinaryTypes.String, `["a"]`)
	end := parse(t, arrow.FixedWidthTypes.Timestamp_us, `["2030-01-01T00:00:00Z"]`)
	for name, row := range map[string]arrow.RecordBatch{
		"by name":                  bind(t, []string{"host", "end", "low"}, texts, end, floats),
		"by name, with the dollar": bind(t, []string{"$host", "$end", "$low"}, texts, end, floats),
		"by position":              bind(t, []string{"0", "1", "2"}, floats, texts, end),
	} {
		p.SetParameters(row)
		info, err := p.Execute(ctx)
		if _, got, err := redeem(ctx, c, info, err); err != nil || got != "a 1\n" {
			t.Errorf("%s: answered %q, %v", name, got, err)
		}
	}
}

func TestPreparedStatementsAreExecutedAgain(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c, ctx := s.sql(), in("db")
	p, err := c.Prepare(ctx, "SELECT n FROM cpu WHERE host = ?")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Execute(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"a": "1\n", "b": "2\n", "c": ""} {
		p.SetParameters(bind(t, []string{"0"}, parse(t, arrow.BinaryTypes.String, `["`+host+`"]`)))
		info, err := p.Execute(ctx)
		if _, got, err := redeem(ctx, c, info, err); err != nil || got != want {
			t.Errorf("%s: answered %q, %v; want %q", host, got, err, want)
		}
	}
}

// TestBoundValuesAreKnownByTheFirstHandle is what clients from before Arrow 16 need.
func TestBoundValuesAreKnownByTheFirstHandle(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c, ctx := s.sql(), in("db")
	p, err := c.Prepare(ctx, "SELECT n FROM cpu WHERE host = ?")
	if err != nil {
		t.Fatal(err)
	}
	first := flightsql.NewPreparedStatement(c, p.Handle())
	other, err := c.Prepare(ctx, "SELECT n FROM cpu WHERE host = ?")
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"a": "1\n", "b": "2\n"} {
		p.SetParameters(bind(t, []string{"0"}, parse(t, arrow.BinaryTypes.String, `["`+host+`"]`)))
		if _, err := p.Execute(ctx); err != nil {
			t.Fatal(err)
		}
		info, err := first.Execute(ctx)
		if _, got, err := redeem(ctx, c, info, err); err != nil || got != want {
			t.Errorf("%s: answered %q, %v; want %q", host, got, err, want)
		}
	}
	info, err := other.Execute(ctx)
	_, _, err = redeem(ctx, c, info, err)
	refused(t, err, codes.InvalidArgument, "$1")
}

func TestBindingRefuses(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c, ctx := s.sql(), in("db")
	text := parse(t, arrow.BinaryTypes.String, `["a"]`)
	for _, test := range []struct {
		name string
		row  arrow.RecordBatch
		text string
	}{
		{"too many", bind(t, []string{"0", "1"}, text, text), "1 parameters, and 2 values"},
		{"two rows", bind(t, []string{"0"}, parse(t, arrow.BinaryTypes.String, `["a","b"]`)), "one row"},
		{"no row", bind(t, []string{"0"}, parse(t, arrow.BinaryTypes.String, `[]`)), ""},
		{"a list", bind(t, []string{"0"}, parse(t, arrow.ListOf(arrow.PrimitiveTypes.Int64), `[[1]]`)), "cannot be bound"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := c.Prepare(ctx, "SELECT n FROM cpu WHERE host = ?")
			if err != nil {
				t.Fatal(err)
			}
			p.SetParameters(test.row)
			info, err := p.Execute(ctx)
			_, _, err = redeem(ctx, c, info, err)
			refused(t, err, codes.InvalidArgument, test.text)
		})
	}
	forged := flightsql.NewPreparedStatement(c, []byte("forged"))
	_, err := forged.Execute(ctx)
	refused(t, err, codes.InvalidArgument, "not one of this server")
}

func TestMetadataIsListed(t *testing.T) {
	s := newSite(t)
	s.write("db", append(points, `mem\ %,b=1,a=2 free=1u 1`, `mem_x free=1u 1`)...)
	s.write("other", `secret x=1 1`)
	c, ctx := s.sql(), in("db")
	pattern := func(p string) *string { return &p }
	iox := func(filter *string, types ...string) *flightsql.GetTablesOpts {
		return &flightsql.GetTablesOpts{DbSchemaFilterPattern: pattern("iox"), TableNameFilterPattern: filter, TableTypes: types}
	}
	tables := func(opts *flightsql.GetTablesOpts) func() (*arrowflight.FlightInfo, error) {
		return func() (*arrowflight.FlightInfo, error) { return c.GetTables(ctx, opts) }
	}
	ref := flightsql.TableRef{Table: `mem %`}
	const cpu, mem, memX = "public iox cpu BASE TABLE\n", "public iox mem % BASE TABLE\n", "public iox mem_x BASE TABLE\n"
	for _, test := range []struct {
		name string
		info func() (*arrowflight.FlightInfo, error)
		want string
	}{
		{"catalogs", func() (*arrowflight.FlightInfo, error) { return c.GetCatalogs(ctx) }, "public\n"},
		{"schemas", func() (*arrowflight.FlightInfo, error) { return c.GetDBSchemas(ctx, &flightsql.GetDBSchemasOpts{}) }, "public information_schema\npublic iox\npublic system\n"},
		{"some schemas", func() (*arrowflight.FlightInfo, error) {
			return c.GetDBSchemas(ctx, &flightsql.GetDBSchemasOpts{Catalog: pattern("public"), DbSchemaFilterPattern: pattern("%o_")})
		}, "public iox\n"},
		{"schemas of another catalog", func() (*arrowflight.FlightInfo, error) {
			return c.GetDBSchemas(ctx, &flightsql.GetDBSchemasOpts{Catalog: pattern("x")})
		}, ""},
		{"tables", tables(iox(nil)), cpu + mem + memX},
		{"tables by pattern", tables(iox(pattern("mem%"))), mem + memX},
		{"tables by character", tables(iox(pattern("mem_x"))), memX},
		{"tables with escape", tables(iox(pattern(`mem \%`))), mem},
		{"tables of a type", tables(iox(nil, "BASE TABLE")), cpu + mem + memX},
		{"tables as many tools ask", tables(iox(nil, "TABLE", "VIEW")), cpu + mem + memX},
		{"views", tables(iox(nil, "VIEW")), ""},
		{"tables of another catalog", tables(&flightsql.GetTablesOpts{Catalog: pattern("x")}), ""},
		{"types", func() (*arrowflight.FlightInfo, error) { return c.GetTableTypes(ctx) }, "BASE TABLE\nVIEW\n"},
		{"primary keys", func() (*arrowflight.FlightInfo, error) { return c.GetPrimaryKeys(ctx, ref) }, "public iox mem % b 1 (null)\npublic iox mem % a 2 (null)\npublic iox mem % time 3 (null)\n"},
		{"primary keys of no table", func() (*arrowflight.FlightInfo, error) {
			return c.GetPrimaryKeys(ctx, flightsql.TableRef{Table: "secret"})
		}, ""},
		{"imported keys", func() (*arrowflight.FlightInfo, error) { return c.GetImportedKeys(ctx, ref) }, ""},
		{"exported keys", func() (*arrowflight.FlightInfo, error) { return c.GetExportedKeys(ctx, ref) }, ""},
		{"cross reference", func() (*arrowflight.FlightInfo, error) { return c.GetCrossReference(ctx, ref, ref) }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			info, err := test.info()
			_, got, err := redeem(ctx, c, info, err)
			if err != nil || got != test.want {
				t.Errorf("listed\n%s%v\nwant\n%s", got, err, test.want)
			}
		})
	}
}

func TestTablesComeWithTheirSchemas(t *testing.T) {
	s := newSite(t)
	s.write("db", append(points, `b"c,t=1 f=1 1`)...)
	c, ctx := s.sql(), in("db")
	info, err := c.GetTables(ctx, &flightsql.GetTablesOpts{IncludeSchema: true})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := c.DoGet(ctx, info.Endpoint[0].Ticket)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Release()
	seen := 0
	for reader.Next() {
		record := reader.RecordBatch()
		for i := range int(record.NumRows()) {
			described, err := arrowflight.DeserializeSchema(record.Column(4).(*array.Binary).Value(i), memory.DefaultAllocator)
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("%q.%q", record.Column(1).ValueStr(i), record.Column(2).ValueStr(i))
			name = strings.ReplaceAll(name, `\"`, `""`)
			info, err := c.Execute(ctx, "SELECT * FROM "+name)
			answered, _, err := redeem(ctx, c, info, err)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if seen++; !answered.Equal(described) {
				t.Errorf("%s is described as %v\n and answers with %v", name, described, answered)
			}
		}
	}
	if err := reader.Err(); err != nil || seen < 2 {
		t.Errorf("%d tables, %v", seen, err)
	}
}

func TestBaseTablesAreCalledAsAsked(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c, ctx := s.sql(), in("db", "x-influxdata-base-table-type", "TABLE")
	info, err := c.GetTableTypes(ctx)
	if _, got, err := redeem(ctx, c, info, err); err != nil || got != "TABLE\nVIEW\n" {
		t.Errorf("the types are %q, %v", got, err)
	}
	info, err = c.GetTables(ctx, &flightsql.GetTablesOpts{TableTypes: []string{"TABLE"}, TableNameFilterPattern: new("cpu")})
	if _, got, err := redeem(ctx, c, info, err); err != nil || got != "public iox cpu TABLE\n" {
		t.Errorf("the tables are %q, %v", got, err)
	}
}

func TestSqlInfo(t *testing.T) {
	s := newSite(t)
	c, ctx := s.sql(), context.Background() // JDBC asks before it names a database
	ask := func(ids ...flightsql.SqlInfo) string {
		t.Helper()
		info, err := c.GetSqlInfo(ctx, ids)
		_, got, err := redeem(ctx, c, info, err)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := ask(flightsql.SqlInfoFlightSqlServerName, 99999, flightsql.SqlInfoFlightSqlServerVersion); got != "0 [0,\"Siltstone\"]\n1 [0,\"1.2.3\"]\n" {
		t.Errorf("name and version are\n%s", got)
	}
	if got := ask(99999); got != "" {
		t.Errorf("an unknown id is answered %q", got)
	}
	if got := strings.Count(ask(), "\n"); got < 60 {
		t.Errorf("there are only %d entries", got)
	}
}

func TestXdbcTypeInfo(t *testing.T) {
	s := newSite(t)
	c, ctx := s.sql(), context.Background()
	info, err := c.GetXdbcTypeInfo(ctx, nil)
	schema, got, err := redeem(ctx, c, info, err)
	if err != nil || strings.Count(got, "\n") != 6 || !schema.Equal(schema_ref.XdbcTypeInfo) {
		t.Errorf("%v\n%s%v", schema, got, err)
	}
	info, err = c.GetXdbcTypeInfo(ctx, new(int32(-5)))
	if _, got, err := redeem(ctx, c, info, err); err != nil || !strings.HasPrefix(got, "BIGINT -5 19") || strings.Count(got, "\n") != 2 {
		t.Errorf("%s%v", got, err)
	}
}

func TestGetSchema(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c, ctx := s.sql(), in("db")
	result, err := c.GetExecuteSchema(ctx, "SELECT host, n FROM cpu")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := arrowflight.DeserializeSchema(result.GetSchema(), memory.DefaultAllocator)
	if err != nil || len(schema.Fields()) != 2 || schema.Field(0).Name != "host" {
		t.Errorf("the schema is %v, %v", schema, err)
	}
	p, err := c.Prepare(ctx, "SELECT n FROM cpu WHERE host = ?")
	if err != nil {
		t.Fatal(err)
	}
	if result, err = p.GetSchema(ctx); err != nil || len(result.GetSchema()) == 0 {
		t.Errorf("the schema is %v, %v", result, err)
	}
}

func TestWhatChangesSomethingIsUnimplemented(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c, ctx := s.sql(), in("db")
	_, err := c.ExecuteUpdate(ctx, "DELETE FROM cpu")
	refused(t, err, codes.Unimplemented, "read-only")
	_, err = c.BeginTransaction(ctx)
	refused(t, err, codes.Unimplemented, "no transactions")
	p, err := c.Prepare(ctx, "SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.ExecuteUpdate(ctx)
	refused(t, err, codes.Unimplemented, "read-only")
	_, err = c.ExecuteSubstrait(ctx, flightsql.SubstraitPlan{Plan: []byte("x")})
	refused(t, err, codes.Unimplemented, "Substrait")
	_, err = c.CancelFlightInfo(ctx, &arrowflight.CancelFlightInfoRequest{})
	refused(t, err, codes.Unimplemented, "KILL QUERY")
	_, err = c.SetSessionOptions(ctx, &arrowflight.SetSessionOptionsRequest{})
	refused(t, err, codes.Unimplemented, "no sessions")
}

func TestActions(t *testing.T) {
	s := newSite(t)
	c, ctx := s.sql(), context.Background()
	closed, err := c.CloseSession(ctx, &arrowflight.CloseSessionRequest{})
	if err != nil || closed.GetStatus() != arrowflight.CloseSessionResultClosed {
		t.Errorf("closed with %v, %v", closed, err)
	}
	stream, err := c.Client.ListActions(ctx, &arrowflight.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for {
		action, err := stream.Recv()
		if err != nil {
			break
		}
		names = append(names, action.GetType())
	}
	if !slices.Equal(names, []string{"CreatePreparedStatement", "ClosePreparedStatement", "CloseSession"}) {
		t.Errorf("the actions are %v", names)
	}
}

func TestMalformedCallsAreTheCallersFault(t *testing.T) {
	s := newSite(t)
	c := s.client()
	ctx, cancel := context.WithTimeout(in("db"), 10*time.Second)
	defer cancel()
	_, err := c.GetFlightInfo(ctx, &arrowflight.FlightDescriptor{})
	refused(t, err, codes.InvalidArgument, "")
	_, err = c.GetFlightInfo(ctx, &arrowflight.FlightDescriptor{Cmd: []byte("\xff\xff")})
	refused(t, err, codes.InvalidArgument, "")
	put, err := c.DoPut(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := put.Send(&arrowflight.FlightData{}); err != nil {
		t.Fatal(err)
	}
	_, err = put.Recv()
	refused(t, err, codes.InvalidArgument, "flight descriptor")
}
