//go:build duckdb_arrow

package influx1

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/httpapi"
	"github.com/siltstone-db/siltstone/query"
)

// startSiltstone serves an empty engine on loopback until the test ends.
func startSiltstone(t *testing.T) *server {
	t.Helper()
	api, err := httpapi.New(httpapi.Options{OpenWithoutTokens: true})
	if err != nil {
		t.Fatal(err)
	}
	const poolBytes = 512 << 20
	dir := t.TempDir()
	e, err := engine.Open(engine.Options{DataDir: dir, PoolBytes: poolBytes, Gen1Duration: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	q, err := query.Open(query.Options{View: e.View, Schema: e.Schema, DataDir: dir, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	api.SetReady(e, q)
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	return &server{t: t, url: srv.URL, http: srv.Client()}
}

// flush has everything persisted.
func (s *server) flush() {
	s.t.Helper()
	if a := s.do(http.MethodPost, "/api/v3/flush", url.Values{}, nil, ""); a.status != http.StatusNoContent {
		s.t.Fatalf("flush: %d %.500s", a.status, a.body)
	}
}

// state is one way in which the same data can be held.
type state struct {
	name string
	load func(*server, []dataset)
}

var states = []state{
	{"buffers", loadBuffers},
	{"files", loadFiles},
	{"both", loadBoth},
}

func loadBuffers(s *server, data []dataset) {
	for _, d := range data {
		s.write(d.db, d.precision, d.lines)
	}
}

func loadFiles(s *server, data []dataset) {
	loadBuffers(s, data)
	s.flush()
}

// loadBoth has two files and buffers that overlap. First, every other point is written, and
// of those every third with wrong values; then, everything that is missing or wrong; and
// some of what was right once more.
func loadBoth(s *server, data []dataset) {
	for step := range 3 {
		for _, d := range data {
			s.write(d.db, d.precision, portion(d.lines, step))
		}
		if step < 2 {
			s.flush()
		}
	}
}

// portion is what step 0, 1 or 2 of loadBoth writes. Lines of one point must keep their
// order, which is why points that are written several times are all in the last step.
func portion(lines []string, step int) []string {
	var some []string
	written := make(map[string]int)
	for _, l := range lines {
		written[identity(l)]++
	}
	for i, l := range lines {
		wrong := i%6 == 0
		switch {
		case written[identity(l)] > 1:
			if step == 2 {
				some = append(some, l)
			}
		case step == 0 && wrong:
			some = append(some, spoil(l))
		case step == 0 && i%2 == 0, step == 1 && i%4 == 1, step == 2 && (wrong || i%4 == 3 || i%10 == 0):
			some = append(some, l)
		}
	}
	return some
}

// identity is a line's point: its series and its time.
func identity(line string) string {
	series, _, time := split(line)
	return series + time
}

// spoil replaces every value of a line by another one of the same type.
func spoil(line string) string {
	series, fields, time := split(line)
	var wrong []string
	for _, f := range cut(fields, ',') {
		pair := cut(f, '=')
		wrong = append(wrong, pair[0]+"="+another(pair[1]))
	}
	return series + strings.Join(wrong, ",") + time
}

func another(value string) string {
	switch {
	case value[0] == '"':
		return `"wrong"`
	case value == "true":
		return "false"
	case value == "false":
		return "true"
	case strings.HasSuffix(value, "i"):
		return "123456i"
	}
	return "-654.25"
}

// split cuts a line of line protocol into series and space, fields, and space and time.
func split(line string) (series, fields, time string) {
	parts := cut(line, ' ')
	return parts[0] + " ", parts[1], " " + parts[2]
}

// cut splits text at a separator that is neither escaped nor in quotes. Only values of
// fields have quotes here.
func cut(text string, separator byte) []string {
	var parts []string
	begin, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			parts = append(parts, text[begin:i])
			begin = i + 1
		}
	}
	return append(parts, text[begin:])
}

// TestSpoilKeepsThePoint: what loadBoth writes wrongly is the same point with the same fields.
func TestSpoilKeepsThePoint(t *testing.T) {
	for line, want := range map[string]string{
		`m,a=b\ c f=1.5,i=2i,s="x, \"y\" = z",b=true 17`: `m,a=b\ c f=-654.25,i=123456i,s="wrong",b=false 17`,
		`my\,m,t\=1=2 f\ x=1 -5`:                         `my\,m,t\=1=2 f\ x=-654.25 -5`,
	} {
		if got := spoil(line); got != want {
			t.Errorf("%s became %s", line, got)
		}
	}
}
