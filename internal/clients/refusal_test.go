package clients

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// contracts are the ways in which the server can answer writes.
var contracts = []string{"core", "dedicated", "serverless"}

// scene is a write that is refused, wholly or in part, and what has to come of it.
type scene struct {
	name    string                // of its file in testdata/seen
	body    string                // of line protocol; "" is one good line
	gzip    bool                  // the body is sent compressed
	whole   bool                  // with accept_partial=false
	prepare func(*server, string) // makes what has to be there before, in the database
	token   func(database string) string

	only     func(library) bool        // the libraries that can do it; nil is all
	database string                    // "" is one of its own for each library
	status   func(contract string) int // 0 is success
	says     []string                  // what everybody must read who is shown an error
	lines    []int                     // the rejected ones
	retry    time.Duration             // the longest time to wait before it is worth trying again; 0 is none
	rows     int                       // of table cpu afterwards
}

// oneLine is a body that nothing is wrong with.
const oneLine = "cpu usage=1.5 1\n"

// always is a status that no contract changes.
func always(status int) func(string) int { return func(string) int { return status } }

// onlyCore is a status of contract core; the others call the request a success.
func onlyCore(status int) func(string) int {
	return func(contract string) int {
		if contract == "core" {
			return status
		}
		return 0
	}
}

const (
	// maxRequestBytes is the limit of the servers that the scenes run against.
	maxRequestBytes = 256 << 10
	// maxColumns is the limit on the columns of a table.
	maxColumns = 10_000
)

// scenes need nothing of the server but a limit on the size of requests.
var scenes = []scene{
	{
		name: "some-lines-rejected",
		body: "cpu,host=a usage=1.5 1\n" +
			"# line 2 is a comment, and line 3 is empty\n" +
			"\n" +
			"cpu,host=a usage=\"high\" 2\n" +
			",host=a usage=1 3\n" +
			"cpu,host=b usage=2.5 123461000000000000000000000000\n" +
			"  cpu,host=b usage=2.5 4\r\n",
		status: onlyCore(400),
		says: []string{
			"line 4", "invalid column type for column 'usage'",
			"line 5", "Invalid measurement was provided",
			"line 6", "123461000000000000000000000000",
		},
		lines: []int{4, 5, 6},
		rows:  2,
	},
	{
		name:   "partial-writes-not-accepted",
		body:   "cpu usage=1.5 1\ncpu usage=\"high\" 2\ncpu usage=2.5 3\n",
		whole:  true,
		only:   func(l library) bool { return l.rejectPartial },
		status: always(400),
		says:   []string{"line 2", "invalid column type for column 'usage'"},
		lines:  []int{2},
		rows:   0,
	},
	{
		name:    "all-lines-rejected",
		body:    "cpu usage=\"high\" 2\ncpu usage=t 3\n",
		prepare: func(srv *server, database string) { srv.write(database, oneLine) },
		status:  always(400),
		says:    []string{"line 1", "line 2", "column 'usage'", "float"},
		lines:   []int{1, 2},
		rows:    1,
	},
	{
		name:   "no-line-protocol",
		body:   "{\"cpu\":\n{\"usage\": 1.5}}\n",
		status: always(400),
		says:   []string{"line 1", `{"cpu":`},
		lines:  []int{1, 2},
	},
	{
		name:    "outside-the-retention-period",
		body:    oneLine,
		prepare: func(srv *server, database string) { srv.createDatabase(database, "1h") },
		status: func(contract string) int {
			if contract == "serverless" {
				return 403
			}
			return 400
		},
		says:  []string{"line 1", "retention period"},
		lines: []int{1},
	},
	{
		name:   "too-many-columns",
		body:   manyColumns(maxColumns + 1),
		status: always(422),
		says:   []string{"line 1", "columns", strconv.Itoa(maxColumns)},
		lines:  []int{1},
	},
	{
		name:   "too-large",
		body:   strings.Repeat(oneLine, maxRequestBytes/len(oneLine)+1),
		status: always(413),
	},
	{
		name:   "too-large-once-decompressed",
		body:   strings.Repeat(oneLine, maxRequestBytes/len(oneLine)+1),
		gzip:   true,
		status: always(413),
	},
}

func manyColumns(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",f%d=1", i)
	}
	return "cpu " + b.String()[1:] + " 1\n"
}

// write stores line protocol that must be accepted.
func (s *server) write(database, body string) {
	s.t.Helper()
	status, answer := s.send(http.MethodPost, "/api/v3/write_lp?db="+database, []byte(body))
	if status != http.StatusNoContent {
		s.t.Fatalf("a write was answered %d %s", status, answer)
	}
}

// TestUsersReadWhyPointsWereRejected shows K2 and K3, under each contract.
func TestUsersReadWhyPointsWereRejected(t *testing.T) {
	for _, contract := range contracts {
		t.Run(contract, func(t *testing.T) {
			srv := startServer(t, "--write-contract", contract, "--max-http-request-size", strconv.Itoa(maxRequestBytes))
			for _, sc := range scenes {
				t.Run(sc.name, func(t *testing.T) { sc.play(t, srv, contract) })
			}
		})
	}
}

// play lets every library write. The file of the scene has what they see under who, which
// begins with the contract.
func (sc scene) play(t *testing.T, srv *server, who string) {
	contract, _, _ := strings.Cut(who, ",")
	a := openAlbum(t, sc.name)
	for i, l := range libraries {
		if sc.only != nil && !sc.only(l) {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			l.needs(t)
			database := cmp.Or(sc.database, fmt.Sprintf("%s_%d", sc.name, i))
			j := job{
				URL: srv.url, Token: "none-needed", Database: database,
				Body: cmp.Or(sc.body, oneLine), Gzip: sc.gzip, RejectPartial: sc.whole,
			}
			if sc.prepare != nil {
				sc.prepare(srv, database)
			}
			if sc.token != nil {
				j.Token = sc.token(database)
			}
			got := l.write(t, j)
			a.check(t, who+": "+l.name, got.picture(database))
			sc.check(t, l, contract, got)
			if n := srv.count(database, "cpu"); n != sc.rows {
				t.Errorf("afterwards there are %d rows, not %d", n, sc.rows)
			}
		})
	}
}

// check compares what can be said without knowing the very text.
func (sc scene) check(t *testing.T, l library, contract string, got seen) {
	t.Helper()
	want := sc.status(contract)
	if want == 0 {
		if !got.OK {
			t.Errorf("the client does not call it a success: %+v", got)
		}
		return
	}
	if got.OK || got.Status != want {
		t.Errorf("the client sees %+v, not status %d", got, want)
	}
	for _, part := range sc.says {
		if !strings.Contains(got.Text, part) {
			t.Errorf("the user does not read %q in\n%s", part, got.Text)
		}
	}
	if isRaw(got.Text) {
		t.Errorf("the user reads a raw body\n%s", got.Text)
	}
	if l.lineErrors && sc.lines != nil && !slices.Equal(got.lineNumbers(), sc.lines) {
		t.Errorf("the typed error has the lines %v, not %v", got.lineNumbers(), sc.lines)
	}
	sc.checkRetry(t, got.RetryAfter)
}

// isRaw reports whether a text is what clients show when they cannot read an answer.
func isRaw(text string) bool {
	return text == "" || strings.Contains(text, `"error":`) || strings.Contains(text, "cannot decode")
}

func (s seen) lineNumbers() []int {
	var numbers []int
	for _, e := range s.Lines {
		numbers = append(numbers, e.Line)
	}
	return numbers
}

// checkRetry compares the seconds that a client reads from Retry-After.
func (sc scene) checkRetry(t *testing.T, seconds string) {
	t.Helper()
	if sc.retry == 0 {
		if seconds != "" {
			t.Errorf("the client is told to try again after %s seconds", seconds)
		}
		return
	}
	n, err := strconv.Atoi(seconds)
	if err != nil || n < 1 || time.Duration(n)*time.Second > sc.retry {
		t.Errorf("the client is told to try again after %q seconds, not 1 to %d", seconds, int(sc.retry.Seconds()))
	}
}

// TestUsersReadWhichDatabaseIsUnknown: creating databases in passing can be turned off.
func TestUsersReadWhichDatabaseIsUnknown(t *testing.T) {
	scene{
		name: "unknown-database", database: "nowhere", status: always(404),
		says: []string{"nowhere", "not found"},
	}.play(t, startServer(t, "--auto-create=false"), "core")
}

// TestUsersReadWhatIsWrongWithADatabasesName covers what a client does not check.
func TestUsersReadWhatIsWrongWithADatabasesName(t *testing.T) {
	scene{
		name: "invalid-database-name", database: "not a name", status: always(400),
		says: []string{"invalid character"},
	}.play(t, startServer(t), "core")
}

// TestUsersReadThatTheirTokenDoesNotDo shows which error each client raises.
func TestUsersReadThatTheirTokenDoesNotDo(t *testing.T) {
	srv := startServer(t)
	srv.createOperator()
	for _, c := range []struct {
		who string
		scene
	}{
		{"no token", scene{
			token:  func(string) string { return "" },
			only:   func(l library) bool { return l.tokenless },
			status: always(401),
		}},
		{"unknown token", scene{
			token:  func(string) string { return "apiv3_nobody-has-this" },
			status: always(401),
		}},
		{"token for reading", scene{
			token:  func(db string) string { return srv.createToken("reader of "+db, db, "read") },
			status: always(401),
		}},
		{"token for another database", scene{
			token:  func(db string) string { return srv.createToken("stranger to "+db, "elsewhere", "write") },
			status: always(401),
		}},
		{"token for writing", scene{
			token:  func(db string) string { return srv.createToken("writer of "+db, db, "write") },
			status: always(0),
			rows:   1,
		}},
	} {
		t.Run(c.who, func(t *testing.T) {
			c.name = "tokens"
			c.play(t, srv, "core, "+c.who)
		})
	}
}

// TestUsersReadWhenAQuotaIsFreeAgain: each client has the time from the header.
func TestUsersReadWhenAQuotaIsFreeAgain(t *testing.T) {
	const window = 24 * time.Hour // long, so that it does not end in between
	for _, contract := range contracts {
		t.Run(contract, func(t *testing.T) {
			srv := startServer(t, "--write-contract", contract, "--write-quota-requests", "1", "--write-quota-window", window.String())
			srv.write("other", oneLine)
			scene{
				name: "over-quota", retry: window, says: []string{"1 write request"},
				status: func(contract string) int {
					if contract == "dedicated" {
						return 503
					}
					return 429
				},
			}.play(t, srv, contract)
		})
	}
}

// TestUsersReadThatTheServerIsOverloaded: the buffers have no room for the request.
// Queries whose answers nobody reads keep the rows of earlier ones in them.
func TestUsersReadThatTheServerIsOverloaded(t *testing.T) {
	const (
		pool    = 96 << 20
		longest = 64 << 10           // of a string
		lines   = pool / 8 / longest // of a request; the buffers, half of the pool, hold less than four
	)
	srv := startServer(t, "--exec-mem-pool-bytes", strconv.Itoa(pool), "--max-http-request-size", strconv.Itoa(pool))
	body := longStrings(lines, longest)
	for _, filler := range []string{"first", "second", "third"} {
		srv.write(filler, body)
		srv.leaveUnread(filler, "SELECT * FROM cpu")
	}
	scene{
		name: "overloaded", body: body, status: always(503), retry: time.Minute,
		says: []string{"memory pool is full"},
	}.play(t, srv, "core")
}

// longStrings returns lines of one string of n bytes each.
func longStrings(lines, n int) string {
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "cpu text=\"%s\" %d\n", strings.Repeat("x", n), i)
	}
	return b.String()
}

// TestBatchingWritersWaitAsTold: a writer in the background repeats what is refused for
// now, when the server says so, and loses nothing.
func TestBatchingWritersWaitAsTold(t *testing.T) {
	const window = 2 * time.Second
	body := []string{"cpu usage=1 1", "cpu usage=2 2", "cpu usage=3 3"}
	for _, l := range libraries {
		if !l.batching {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			l.needs(t)
			srv := startServer(t, "--write-quota-requests", "1", "--write-quota-window", window.String())
			got := l.write(t, job{URL: srv.url, Token: "none-needed", Database: "batches", Body: strings.Join(body, "\n"), Batching: true})
			if n := srv.count("batches", "cpu"); !got.OK || n != len(body) {
				t.Errorf("%d rows, and the client sees %+v", n, got)
			}
			if got.Retries == 0 {
				t.Error("nothing was repeated")
			}
		})
	}
}
