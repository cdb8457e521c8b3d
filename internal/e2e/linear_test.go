//go:build duckdb_arrow

package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/internal/linear"
)

var kills = flag.Int("kills", 3, "how often the server is killed by TestAnswersAreLinearizable")

const (
	linearWriters = 4
	// linearAnswers is how many writes are acknowledged before the server is killed.
	linearAnswers = 60
	// linearDB is the database of the registers and the counter.
	linearDB = "linear"
)

// TestAnswersAreLinearizable records what clients over HTTP are told by SQL and InfluxQL,
// while rows move to files and the server is killed, and looks for an order that explains
// it. engine/linear_test.go has the same from inside, with power failures.
func TestAnswersAreLinearizable(t *testing.T) {
	drawn, rerun := drawnSeed(t, fmt.Sprintf(" -kills %d", *kills))
	s := newSite(t)
	r := &recording{t: t, seed: drawn}
	for range *kills {
		r.generation(s.start("--gen1-duration", timedFlush.String()))
	}
	summary, err := r.history.Check(patience)
	if err != nil {
		t.Fatalf("%v\n%s", err, rerun)
	}
	t.Log(summary)
}

// recording is a history in the making.
type recording struct {
	t       *testing.T
	seed    uint64
	history linear.History
	values  atomic.Int64
	servers uint64
}

// generation lets everybody work with one server until it is killed.
func (r *recording) generation(srv *server) {
	r.history.Settle() // what a start has not brought back will not come
	if r.servers++; r.servers == 1 {
		srv.write(linearDB, "registers,k=none a=0i,b=0i 0\ncounter,c=none v=0i 0\n") // tables to ask for
	}
	var clients sync.WaitGroup
	var answers atomic.Int64
	for c := range linearWriters {
		clients.Go(func() {
			for rng := rand.New(rand.NewPCG(r.seed, r.servers<<8|uint64(c))); r.write(srv, c, rng); {
				if answers.Add(1) == linearAnswers {
					srv.kill()
				}
			}
		})
	}
	for c, read := range []func(*server) (map[string]linear.Value, error){readSQL, readInfluxQL, readSQL, readInfluxQL} {
		clients.Go(func() {
			for err := error(nil); err == nil; {
				call := r.history.Read(linearWriters + c)
				var seen map[string]linear.Value
				if seen, err = read(srv); err == nil {
					call.Saw(seen)
				}
			}
		})
	}
	clients.Go(func() {
		for err := error(nil); err == nil; {
			_, err = srv.do(http.MethodPost, "/api/v3/flush", nil, nil)
		}
	})
	clients.Wait()
}

// write writes one request and reports whether it was acknowledged; it is not once the
// server is killed.
func (r *recording) write(srv *server, client int, rng *rand.Rand) bool {
	var lines []string
	var call *linear.Call
	if rng.IntN(2) == 0 {
		values := make(map[string]int64)
		for _, p := range rng.Perm(linearPoints)[:1+rng.IntN(3)] {
			field := []string{"a", "b"}[rng.IntN(2)]
			v := r.values.Add(1)
			values[linearRegister(p, field)] = v
			lines = append(lines, fmt.Sprintf("registers,k=p%d %s=%di %d", p, field, v, int64(p%2)*int64(24*time.Hour)+1))
		}
		call = r.history.Set(client, values)
	} else {
		n, sum := 1+rng.Int64N(5), int64(0)
		for range n {
			v := r.values.Add(1)
			sum += v
			lines = append(lines, fmt.Sprintf("counter,c=c%d v=%di %d", client, v, v))
		}
		call = r.history.Add(client, "counter", linear.Value{A: n, B: sum})
	}
	a, err := srv.post(linearDB, []byte(strings.Join(lines, "\n")))
	if err != nil || a.status != http.StatusNoContent {
		if err == nil {
			r.t.Errorf("a write was answered %d %s", a.status, a.body)
		}
		call.Failed()
		return false
	}
	call.Acknowledged()
	return true
}

// linearPoints is how many points everybody overwrites, on two days.
const linearPoints = 4

func linearRegister(p int, field string) string { return fmt.Sprintf("p%d %s", p, field) }

// emptyRegisters are those that nothing was written to.
func emptyRegisters() map[string]linear.Value {
	seen := make(map[string]linear.Value)
	for p := range linearPoints {
		seen[linearRegister(p, "a")], seen[linearRegister(p, "b")] = linear.Value{}, linear.Value{}
	}
	return seen
}

// orZero reads an integer; null is 0, which nobody writes.
func orZero(v any) int64 {
	n, _ := v.(json.Number)
	i, _ := n.Int64()
	return i
}

// readSQL reads everything in one query, over two tables.
func readSQL(srv *server) (map[string]linear.Value, error) {
	rows, err := srv.ask(linearDB, `SELECT k, a, b FROM registers UNION ALL SELECT 'counter', count(*) - 1, sum(v)::BIGINT FROM counter`)
	if err != nil {
		return nil, err
	}
	seen := emptyRegisters()
	for _, row := range rows {
		k, _ := row["k"].(string)
		switch a, b := orZero(row["a"]), orZero(row["b"]); k {
		case "none":
		case "counter":
			seen[k] = linear.Value{A: a, B: b}
		default:
			seen[k+" a"], seen[k+" b"] = linear.Value{A: a}, linear.Value{A: b}
		}
	}
	return seen, nil
}

// readInfluxQL reads in two statements, each at its own moment; what each object has is
// judged for itself.
func readInfluxQL(srv *server) (map[string]linear.Value, error) {
	const statements = "SELECT a, b FROM registers GROUP BY k; SELECT count(v), sum(v) FROM counter"
	a, err := srv.do(http.MethodGet, "/query", url.Values{"db": {linearDB}, "q": {statements}, "epoch": {"ns"}}, nil)
	if err != nil {
		return nil, err
	}
	var body struct {
		Results []struct {
			Series []series `json:"series"`
			Error  string   `json:"error"`
		} `json:"results"`
	}
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.UseNumber()
	if err := dec.Decode(&body); err != nil || len(body.Results) != 2 || body.Results[0].Error != "" || body.Results[1].Error != "" {
		return nil, fmt.Errorf("%s: %w: %.500s", statements, err, a.body)
	}
	seen := emptyRegisters()
	for _, s := range body.Results[0].Series {
		if k := s.Tags["k"]; k != "none" {
			seen[k+" a"], seen[k+" b"] = linear.Value{A: orZero(s.Values[0][1])}, linear.Value{A: orZero(s.Values[0][2])}
		}
	}
	for _, s := range body.Results[1].Series {
		seen["counter"] = linear.Value{A: orZero(s.Values[0][1]) - 1, B: orZero(s.Values[0][2])}
	}
	return seen, nil
}
