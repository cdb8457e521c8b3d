package query

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
)

// lineageOf writes the columns of an answer: their names, and their kinds in short.
func lineageOf(layout *arrow.Schema) string {
	short := strings.NewReplacer("iox::column_type::", "", "field::", "")
	var words []string
	for _, f := range layout.Fields() {
		kind, _ := f.Metadata.GetValue(columnTypeMetadata)
		word := f.Name + ":" + short.Replace(kind)
		if !f.Nullable {
			word += "!"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestColumnsKeepTheirKindOnTheirWay(t *testing.T) {
	s := newStore(t)
	s.table("db", "cpu", "host:tag load:float n:int u:uint s:string ok:bool")
	s.table("db", "disk", "host:tag path:tag free:float")
	s.table("db", "odd", "host:tag Host:string")
	q := s.querier()
	const cpu = "host:tag load:float n:integer ok:boolean s:string time:timestamp! u:uinteger"
	for _, c := range []struct{ sql, want string }{
		{"SELECT * FROM cpu", cpu},
		{"FROM cpu", cpu},
		{"SELECT * FROM public.iox.cpu ORDER BY time LIMIT 3", cpu},
		{"SELECT c.* FROM cpu c", cpu},
		{"SELECT * FROM cpu UNION ALL SELECT * FROM cpu", cpu},
		{"WITH a AS (SELECT * FROM cpu), b AS (FROM a) SELECT * FROM (SELECT * FROM b) x", cpu},
		{"SELECT HOST AS h, cpu.time, cpu.n, cpu.n + 1 AS m, upper(host) AS s FROM cpu", "h:tag time:timestamp! n:integer m: s:"},
		{"SELECT host, max(load) AS load FROM cpu GROUP BY host", "host:tag load:"},
		{"SELECT host, time FROM cpu GROUP BY ROLLUP (host, time)", "host:tag time:timestamp"},
		{"SELECT * EXCLUDE (n, u, ok) REPLACE (load * 2 AS load) RENAME (s AS text) FROM cpu", "host:tag load: text:string time:timestamp!"},
		{"SELECT h, t FROM (SELECT host, time FROM cpu) AS x(h, t)", "h:tag t:timestamp!"},
		{"SELECT h FROM cpu AS x(h)", "h:tag"},
		{"SELECT cpu.host, path, disk.time FROM cpu JOIN disk ON cpu.host = disk.host", "host:tag path:tag time:timestamp!"},
		{"SELECT cpu.host, path, disk.time FROM cpu LEFT JOIN disk ON cpu.host = disk.host", "host:tag path:tag time:timestamp"},
		{"SELECT host, path, free FROM cpu JOIN disk USING (host)", "host:tag path:tag free:float"},
		{"SELECT disk.*, 1 AS one FROM disk SEMI JOIN cpu USING (host)", "free:float host:tag path:tag time:timestamp! one:"},
		{"SELECT host FROM cpu UNION SELECT s FROM cpu", "host:"},
		{"SELECT host FROM cpu UNION SELECT path FROM disk", "host:tag"},
		{"SELECT HOST, Host_1, host FROM odd", "Host:string host_1:tag host:tag"},
		{"SELECT * FROM odd", "Host:string host_1:tag time:timestamp!"},
		{"SELECT n.range AS host, cpu.host AS h FROM range(3) n, cpu", "host: h:tag"},
		{"SELECT 'x' AS host", "host:"},
		{"SELECT COLUMNS('h.*') FROM cpu", "host:"},
		{"SELECT table_name FROM information_schema.tables", "table_name:"},
		{"SELECT (SELECT host FROM cpu LIMIT 1) AS host", "host:"},
		{"WITH RECURSIVE r AS (SELECT host FROM cpu UNION ALL SELECT host FROM r WHERE false) SELECT host FROM r", "host:"},
	} {
		r, err := q.Query(t.Context(), Request{Database: "db", SQL: c.sql})
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
			continue
		}
		if got := lineageOf(r.Schema()); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.sql, got, c.want)
		}
		r.Close()
	}
}
