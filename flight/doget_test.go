package flight_test

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
)

var points = []string{
	`cpu,host=a usage=1.5,n=1i,ok=true,name="x" 1000000000`,
	`cpu,host=b usage=2.5,n=2i,ok=false 2000000000`,
}

func TestDoGetAnswersJSONTickets(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c := s.client()
	const all = "1.5 1 a\n2.5 2 b\n"
	for _, test := range []struct{ name, ticket, want string }{
		{"as the clients send", `{"database":"db","sql_query":"SELECT usage, n, host FROM cpu ORDER BY time","query_type":"sql"}`, all},
		{"empty params", `{"database":"db","sql_query":"SELECT usage, n, host FROM cpu ORDER BY time","query_type":"sql","params":{}}`, all},
		{"null params", `{"database":"db","sql_query":"SELECT usage, n, host FROM cpu ORDER BY time","params":null}`, all},
		{"namespace", `{"namespace_name":"db","sql_query":"SELECT usage, n, host FROM cpu ORDER BY time"}`, all},
		{"bucket", `{"bucket":"db","sql_query":"SELECT usage, n, host FROM cpu ORDER BY time"}`, all},
		{"bucket-name", `{"bucket-name":"db","sql_query":"SELECT usage, n, host FROM cpu ORDER BY time"}`, all},
		{"no rows", `{"database":"db","sql_query":"SELECT usage FROM cpu WHERE host = 'c'"}`, ""},
		{"string", `{"database":"db","sql_query":"SELECT n FROM cpu WHERE host = $h","params":{"h":"b"}}`, "2\n"},
		{"number", `{"database":"db","sql_query":"SELECT n FROM cpu WHERE usage > $u","params":{"u":2}}`, "2\n"},
		{"fraction", `{"database":"db","sql_query":"SELECT n FROM cpu WHERE usage < $u","params":{"u":1.75}}`, "1\n"},
		{"boolean", `{"database":"db","sql_query":"SELECT n FROM cpu WHERE ok = $ok","params":{"ok":true}}`, "1\n"},
		{"null", `{"database":"db","sql_query":"SELECT n FROM cpu WHERE name IS NOT DISTINCT FROM $x","params":{"x":null}}`, "2\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			schema, got, err := read(context.Background(), c, []byte(test.ticket))
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("the rows are\n%swant\n%s", got, test.want)
			}
			if schema.NumFields() == 0 {
				t.Error("the schema is empty")
			}
		})
	}
}

func TestDoGetRefuses(t *testing.T) {
	s := newSite(t)
	s.write("db", points...)
	c := s.client()
	for _, test := range []struct {
		name, ticket string
		code         codes.Code
		text         string
	}{
		{"no database", `{"sql_query":"SELECT 1"}`, codes.InvalidArgument, "no 'database' header in request"},
		{"two databases", `{"database":"a","bucket":"b","sql_query":"SELECT 1"}`, codes.InvalidArgument, "two databases"},
		{"unknown database", `{"database":"none","sql_query":"SELECT 1"}`, codes.NotFound, "database not found: none"},
		{"unknown table", `{"database":"db","sql_query":"SELECT 1 FROM none"}`, codes.InvalidArgument, "table 'public.iox.none' not found"},
		{"syntax", `{"database":"db","sql_query":"SELEC 1"}`, codes.InvalidArgument, "SQL error: ParserError"},
		{"change", `{"database":"db","sql_query":"DELETE FROM cpu"}`, codes.InvalidArgument, "only SELECT"},
		{"language", `{"database":"db","sql_query":"SELECT 1","query_type":"flux"}`, codes.InvalidArgument, "query_type"},
		{"missing parameter", `{"database":"db","sql_query":"SELECT $x"}`, codes.InvalidArgument, "No value found for placeholder with name $x"},
		{"list", `{"database":"db","sql_query":"SELECT $x","params":{"x":[1]}}`, codes.InvalidArgument, "parameter x"},
		{"half a ticket", `{"database":"db"`, codes.InvalidArgument, "invalid ticket"},
		{"two tickets", `{"database":"db"}{}`, codes.InvalidArgument, "invalid ticket"},
		{"no ticket", ``, codes.InvalidArgument, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := read(context.Background(), c, []byte(test.ticket))
			refused(t, err, test.code, test.text)
		})
	}
}
