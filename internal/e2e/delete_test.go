//go:build duckdb_arrow

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

const (
	deletionDB = "deletions"
	// deleters write and delete at once, each of them points of its own.
	deleters = 4
)

// deletionTables are those that every deleter writes to; one statement may delete of both.
var deletionTables = []string{"cpu", "disk"}

// ownPoint is a point of one deleter.
type ownPoint struct {
	table, series string
	time          int64
}

// deleter knows what the server holds of its points, as nobody else writes or deletes them. Fields
// are as text, "-" for null: an old value of a field must not show again with a point that is written anew.
type deleter struct {
	name   string
	rng    *rand.Rand
	points map[ownPoint][2]string
	doubt  map[ownPoint][2]string // what the request that was not answered would have made of all; nil: there is none
	value  int64
}

// deletion is a range of time, both ends included, and what it is narrowed to; empty is all.
type deletion struct {
	table, series string
	from, to      int64
}

func (x deletion) has(p ownPoint) bool {
	return (x.table == "" || x.table == p.table) && (x.series == "" || x.series == p.series) && x.from <= p.time && p.time <= x.to
}

// step sends one request. Its error is the connection's, or a refusal.
func (d *deleter) step(srv *server) error {
	after := maps.Clone(d.points)
	var a answer
	var err error
	if d.rng.IntN(3) > 0 {
		body := d.drawLines(after)
		d.doubt = after
		a, err = srv.post(deletionDB, []byte(body))
	} else {
		x := d.drawDeletion()
		maps.DeleteFunc(after, func(p ownPoint, _ [2]string) bool { return x.has(p) })
		d.doubt = after
		a, err = d.send(srv, x)
	}
	if err == nil && (a.status/100 != 2 || strings.Contains(a.body, `"error"`)) {
		err = fmt.Errorf("%w with %d %.300s", errRefused, a.status, a.body)
	}
	if err == nil {
		d.points, d.doubt = after, nil
	}
	return err
}

// drawLines writes points into a model and returns their lines.
func (d *deleter) drawLines(into map[ownPoint][2]string) string {
	var body strings.Builder
	for range 1 + d.rng.IntN(20) {
		d.value++
		p := ownPoint{deletionTables[d.rng.IntN(2)], fmt.Sprint("s", d.rng.IntN(3)), 1 + d.rng.Int64N(60)}
		fields, ok := into[p]
		if !ok {
			fields = [2]string{"-", "-"}
		}
		i := d.rng.IntN(2)
		fields[i] = strconv.FormatInt(d.value, 10)
		into[p] = fields
		fmt.Fprintf(&body, "%s,writer=%s,s=%s %s=%di %d\n", p.table, d.name, p.series, [2]string{"v", "w"}[i], d.value, p.time)
	}
	return body.String()
}

func (d *deleter) drawDeletion() deletion {
	x := deletion{from: 1 + d.rng.Int64N(50)}
	x.to = x.from + d.rng.Int64N(30)
	if d.rng.IntN(2) == 0 {
		x.table = deletionTables[d.rng.IntN(2)]
	}
	if d.rng.IntN(2) == 0 {
		x.series = fmt.Sprint("s", d.rng.IntN(3))
	}
	if d.rng.IntN(6) == 0 { // for ever
		x.from, x.to = 0, 1e18
	}
	return x
}

// send asks for a deletion in one of the languages.
func (d *deleter) send(srv *server, x deletion) (answer, error) {
	at := func(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
	switch kind := d.rng.IntN(3); {
	case kind == 0:
		where := fmt.Sprintf(" WHERE writer='%s'", d.name)
		if x.series != "" {
			where += fmt.Sprintf(" AND s='%s'", x.series)
		}
		from := ""
		if x.table != "" {
			from = " FROM " + x.table
		}
		statement := fmt.Sprintf("DELETE%s%s AND time >= %d AND time <= %d", from, where, x.from, x.to)
		if x.from == 0 {
			statement = "DROP SERIES" + from + where
		}
		return srv.do(http.MethodPost, "/query", url.Values{"db": {deletionDB}, "q": {statement}}, nil)
	case kind == 1 && x.table != "":
		predicate := fmt.Sprintf(`writer="%s"`, d.name)
		if x.series != "" {
			predicate += fmt.Sprintf(` AND s="%s"`, x.series)
		}
		return srv.do(http.MethodDelete, "/api/v3/rows", url.Values{
			"db": {deletionDB}, "table": {x.table}, "start": {at(x.from)}, "stop": {at(x.to)}, "predicate": {predicate},
		}, nil)
	}
	predicate := fmt.Sprintf(`writer=\"%s\"`, d.name)
	if x.series != "" {
		predicate += fmt.Sprintf(` AND s=\"%s\"`, x.series)
	}
	if x.table != "" {
		predicate += fmt.Sprintf(` AND _measurement=\"%s\"`, x.table)
	}
	body := fmt.Sprintf(`{"start":"%s","stop":"%s","predicate":"%s"}`, at(x.from), at(x.to), predicate)
	return srv.do(http.MethodPost, "/api/v2/delete", url.Values{"bucket": {deletionDB}}, []byte(body))
}

// expect compares what the server holds of the deleter's points, and settles what was in doubt: it
// is whole or absent.
func (d *deleter) expect(t *testing.T, when string, seen map[string]map[ownPoint][2]string) {
	t.Helper()
	got := seen[d.name]
	if got == nil {
		got = map[ownPoint][2]string{}
	}
	diff := gocmp.Diff(d.points, got)
	if diff != "" && d.doubt != nil && gocmp.Equal(d.doubt, got) {
		d.points, diff = d.doubt, ""
	}
	d.doubt = nil
	if diff != "" {
		t.Fatalf("%s: points of %s (-want +got)\n%s", when, d.name, diff)
	}
}

// pointsBySQL reads all points, by writer, over HTTP or Flight.
func (s *server) pointsBySQL(overFlight bool) map[string]map[ownPoint][2]string {
	s.site.t.Helper()
	all := make(map[string]map[ownPoint][2]string)
	for _, table := range deletionTables {
		sql := "SELECT writer, s, epoch_ns(time) AS ns, v, w FROM " + table
		if overFlight {
			for _, r := range s.flight(deletionDB, "sql", sql) {
				ns, _ := strconv.ParseInt(r[2], 10, 64)
				addPoint(all, r[0], ownPoint{table, r[1], ns}, r[3], r[4])
			}
			continue
		}
		for _, r := range s.query(deletionDB, sql) {
			addPoint(all, valueText(r["writer"]), ownPoint{table, valueText(r["s"]), int64(r.number("ns"))}, valueText(r["v"]), valueText(r["w"]))
		}
	}
	return all
}

// pointsByInfluxQL does the same in another language.
func (s *server) pointsByInfluxQL() map[string]map[ownPoint][2]string {
	s.site.t.Helper()
	all := make(map[string]map[ownPoint][2]string)
	for _, one := range s.influxQL(deletionDB, "SELECT v, w FROM "+strings.Join(deletionTables, ", ")+" GROUP BY writer, s") {
		for _, r := range one.Values {
			ns, _ := strconv.ParseInt(valueText(r[0]), 10, 64)
			addPoint(all, one.Tags["writer"], ownPoint{one.Name, one.Tags["s"], ns}, valueText(r[1]), valueText(r[2]))
		}
	}
	return all
}

func addPoint(all map[string]map[ownPoint][2]string, writer string, p ownPoint, v, w string) {
	if all[writer] == nil {
		all[writer] = make(map[ownPoint][2]string)
	}
	all[writer][p] = [2]string{v, w}
}

// TestDeletionsOutliveKills: several clients write and delete at once, beside flushes and
// compactions, and the server is killed at random moments. What was answered is so after the restart in
// every language; what was not is whole or absent.
func TestDeletionsOutliveKills(t *testing.T) {
	n := roundsOr(12)
	drawn, rerun := drawnSeed(t, fmt.Sprintf(" -rounds %d", n))
	s := newSite(t)
	var all []*deleter
	for i := range deleters {
		all = append(all, &deleter{name: fmt.Sprint("d", i), points: map[ownPoint][2]string{}})
	}
	steps := 0
	for round := range n + 1 {
		rng := rand.New(rand.NewPCG(drawn, uint64(round)))
		srv := s.start()
		if round == 0 {
			srv.write(deletionDB, "cpu,writer=x,s=x v=1i,w=1i 1\ndisk,writer=x,s=x v=1i,w=1i 1\n")
		}
		when := fmt.Sprintf("after %d kills; %s", round, rerun)
		seen := srv.pointsBySQL(false)
		for _, d := range all {
			d.expect(t, when, seen)
		}
		if d := gocmp.Diff(seen, srv.pointsByInfluxQL()); d != "" {
			t.Fatalf("%s: SQL and InfluxQL differ\n%s", when, d)
		}
		if d := gocmp.Diff(seen, srv.pointsBySQL(true)); d != "" {
			t.Fatalf("%s: HTTP and Flight differ\n%s", when, d)
		}
		if round == n {
			break
		}
		steps += deleteUntilKilled(t, srv, all, rng)
		if round%4 == 0 {
			s.mustBeSound(when)
		}
	}
	t.Logf("figures: kills=%d requests=%d", n, steps)
}

// deleteUntilKilled lets everybody work until the server is dead, and returns how many requests were answered.
func deleteUntilKilled(t *testing.T, srv *server, all []*deleter, rng *rand.Rand) (steps int) {
	t.Helper()
	var group sync.WaitGroup
	counts, refused := make([]int, len(all)), make([]error, len(all))
	enough := make(chan struct{})
	after := 1 + rng.IntN(40) // requests of the first deleter
	for i, d := range all {
		d.rng = rand.New(rand.NewPCG(rng.Uint64(), uint64(i)))
		group.Go(func() {
			for {
				err := d.step(srv)
				if err != nil {
					refused[i] = err
					return
				}
				if counts[i]++; i == 0 && counts[i] == after {
					close(enough)
				}
			}
		})
	}
	group.Go(func() { // beside them, until the server is dead
		for i := 0; ; i++ {
			path := []string{"/api/v3/flush", "/api/v3/compact"}[i%2]
			if _, err := srv.do(http.MethodPost, path, nil, nil); err != nil {
				return
			}
		}
	})
	<-enough
	<-time.After(time.Duration(rng.Int64N(int64(30 * time.Millisecond))))
	srv.kill()
	group.Wait()
	for i := range all {
		steps += counts[i]
		if err := refused[i]; errors.Is(err, errRefused) {
			t.Fatal(err)
		}
	}
	return steps
}
