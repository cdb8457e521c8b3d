package query

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/engine"
)

// describe writes a description as "column type, … | parameter type, …".
func describe(t *testing.T, q *Querier, sql string, params map[string]any) string {
	t.Helper()
	d, err := q.Describe(context.Background(), Request{Database: "db", SQL: sql, Params: params})
	if err != nil {
		t.Errorf("%s: %v", sql, err)
		return ""
	}
	var columns, names []string
	for _, f := range d.Schema.Fields() {
		columns = append(columns, f.Name+" "+f.Type.String())
	}
	for _, p := range d.Params {
		names = append(names, "$"+p.Name+" "+p.Type.String())
	}
	return strings.Join(columns, ", ") + " | " + strings.Join(names, ", ")
}

func TestDescribeNamesColumnsAndParameters(t *testing.T) {
	s := newStore(t)
	s.table("db", "cpu", "host:tag usage:float n:int u:uint ok:bool name:string")
	q := s.querier()
	for _, test := range []struct {
		sql    string
		params map[string]any
		want   string
	}{
		{"SELECT n, usage FROM cpu", nil, "n int64, usage float64 | "},
		{"SELECT n FROM cpu WHERE host = ? AND usage > ?", nil, "n int64 | $1 utf8, $2 float64"},
		{"SELECT n FROM cpu WHERE usage > $2 AND host = $1", nil, "n int64 | $1 utf8, $2 float64"},
		{"SELECT n FROM cpu WHERE time >= $start AND ok = $ok", nil, "n int64 | $start timestamp[ns], $ok bool"},
		{"SELECT n FROM cpu WHERE time >= $start AND ok = $ok", map[string]any{"ok": true}, "n int64 | $start timestamp[ns]"},
		{"SELECT n FROM cpu WHERE u = $u LIMIT $l", nil, "n int64 | $u uint64, $l int64"},
		{"SELECT sum(n) AS s FROM cpu", nil, "s int64 | "},
		{"SELECT avg(n) AS a, count(*) AS c FROM cpu", nil, "a float64, c int64 | "},
		{"SELECT n + $x AS y FROM cpu", nil, "y int64 | $x utf8"}, // which could be any number
		{"KILL QUERY 17", nil, "id uint64, state utf8 | "},
	} {
		if got := describe(t, q, test.sql, test.params); got != test.want {
			t.Errorf("%s\n described as %s\n       want %s", test.sql, got, test.want)
		}
	}
}

func TestDescribeKnowsColumnsBesideAParameterOfUnknownType(t *testing.T) {
	s := newStore(t)
	s.table("db", "cpu", "host:tag usage:float")
	got := describe(t, s.querier(), "SELECT usage, $x AS x FROM cpu", nil)
	if !strings.HasPrefix(got, "usage float64, x ") || !strings.HasSuffix(got, "| $x utf8") {
		t.Errorf("described as %s", got)
	}
}

// What is described is what is answered, unless the description says that it may differ.
func TestDescribeAgreesWithTheAnswer(t *testing.T) {
	s := newStore(t)
	s.table("db", "cpu", "host:tag usage:float n:int u:uint ok:bool name:string")
	q := s.querier()
	for _, sql := range []string{
		"SELECT * FROM cpu", "SELECT count(*), avg(n), max(time), 1.5, 'x', NULL, true FROM cpu", "SELECT 1/3 AS x, now()",
		"SHOW TABLES", "SELECT * FROM information_schema.columns", "SELECT * FROM system.queries",
		"SELECT sum(n) FROM cpu", "SELECT [1,2] AS l, {'a': 1} AS s, INTERVAL 1 DAY AS i, current_date", "EXPLAIN SELECT 1",
	} {
		req := Request{Database: "db", SQL: sql}
		d, err := q.Describe(context.Background(), req)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		res, err := q.Query(context.Background(), req)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		if d.Exact && !d.Schema.Equal(res.Schema()) {
			t.Errorf("%s\n described as %v\n   answered %v", sql, d.Schema, res.Schema())
		}
		if want := !strings.Contains(sql, "sum("); d.Exact != want {
			t.Errorf("%s: the description is exact: %v", sql, d.Exact)
		}
		res.Close()
	}
}

func TestDescribeRefusesLikeQuery(t *testing.T) {
	s := newStore(t)
	s.table("db", "cpu", "host:tag usage:float")
	q := s.querier()
	for _, sql := range []string{"SELECT none FROM cpu", "SELECT * FROM none", "SELEC 1", "DROP TABLE cpu", "SELECT * FROM read_csv('/etc/passwd')", "KILL QUERY x"} {
		_, err := q.Describe(context.Background(), Request{Database: "db", SQL: sql})
		_, queried := q.Query(context.Background(), Request{Database: "db", SQL: sql})
		if user := new(UserError); !errors.As(err, &user) || fmt.Sprint(err) != fmt.Sprint(queried) {
			t.Errorf("%s\n is described with %v\n    queried with %v", sql, err, queried)
		}
	}
	if _, err := q.Describe(context.Background(), Request{Database: "none", SQL: "SELECT 1"}); !errors.Is(err, engine.ErrDatabaseNotFound) {
		t.Errorf("the error is %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := q.Describe(ctx, Request{Database: "db", SQL: "SELECT 1"}); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}
