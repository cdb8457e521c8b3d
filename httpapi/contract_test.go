package httpapi

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the files in testdata and the answers in docs/write-api.md")

var contracts = []Contract{ContractCore, ContractDedicated, ContractServerless}

// writeRoutes are the routes under test; db and bucket parameters come first.
var writeRoutes = []string{"/write?db=", "/api/v2/write?bucket=", "/api/v3/write_lp?db="}

// scenario provokes an outcome.
type scenario struct {
	name    string
	setup   string
	db      string // one of its own by default
	params  string
	before  string // a body that is written first
	body    string
	method  string // POST by default
	headers []string
	status  [3]int // under core, dedicated, serverless
}

var scenarios = []scenario{
	{name: "all accepted", body: "home,room=a temp=21.5 1\nhome,room=b temp=20 1", status: [3]int{204, 204, 204}},
	{name: "some accepted", body: "home,room=a temp=21.5 1\n,room=a temp=1 2\n\n# no comment\nhome,room=c temp=\"warm\" 3\n", status: [3]int{400, 201, 204}},
	{
		name: "some accepted, in the body", headers: []string{"Prefer", "return=representation"},
		body: "home,room=a temp=21.5 1\nhome,room=c temp=\"warm\" 3", status: [3]int{400, 201, 201},
	},
	{name: "none accepted", before: "home temp=1 1", body: "home temp=\"warm\" 1\nhome temp=true 1\nhome", status: [3]int{400, 400, 400}},
	{name: "all for one", params: "&accept_partial=false", body: "home temp=1 1\nhome temp= 2\nhome hum=3 3", status: [3]int{400, 400, 400}},
	{name: "malformed", body: "{\"temp\": 21.5}\n{\"temp\": 20}", status: [3]int{400, 400, 400}},
	{name: "outside the retention period", db: "recent", body: "home temp=1 1\nhome temp=2 2", status: [3]int{400, 400, 403}},
	{name: "partly outside the retention period", db: "recent", body: "home temp=1 1\nhome temp=2", status: [3]int{400, 201, 204}},
	{name: "columns limit, some accepted", setup: "tables", body: "home a=1,b=2 1\nhome c=3 2", status: [3]int{422, 201, 204}},
	{name: "columns limit, none accepted", setup: "tables", body: "home a=1,b=2,c=3 1", status: [3]int{422, 422, 422}},
	{name: "databases limit", setup: "full", body: "home temp=1 1", status: [3]int{422, 422, 422}},
	{name: "no token", setup: "tokens", body: "home temp=1 1", status: [3]int{401, 401, 401}},
	{name: "unknown token", setup: "tokens", headers: []string{"Authorization", "Bearer apiv3_no"}, body: "home temp=1 1", status: [3]int{401, 401, 401}},
	{name: "no permission", setup: "tokens", headers: []string{"Authorization", "Bearer $TOKEN"}, body: "home temp=1 1", status: [3]int{401, 401, 401}},
	{name: "unknown database", setup: "strict", body: "home temp=1 1", status: [3]int{404, 404, 404}},
	{name: "wrong method", method: "GET", status: [3]int{405, 405, 405}},
	{name: "too large", setup: "small", body: strings.Repeat("home temp=1 1\n", 20), status: [3]int{413, 413, 413}},
	{name: "over the quota", setup: "quota", body: "home temp=1 1", status: [3]int{429, 503, 429}},
	{name: "fault of ours", setup: "broken", body: "home temp=1 1", status: [3]int{500, 500, 500}},
	{name: "not ready", setup: "starting", body: "home temp=1 1", status: [3]int{503, 503, 503}},
	{name: "nothing", body: "# only a comment\n", status: [3]int{400, 400, 400}},
	{name: "parameter", params: "&accept_partial=maybe", body: "home temp=1 1", status: [3]int{400, 400, 400}},
	{name: "encoding", headers: []string{"Content-Encoding", "br"}, body: "home temp=1 1", status: [3]int{400, 400, 400}},
}

// run sends the scenario's request to a route of a server, for a database of its own.
func (sc *scenario) run(t *testing.T, at *stage, route string) answer {
	t.Helper()
	db, method := sc.db, sc.method
	if db == "" {
		db = notLetters.ReplaceAllString(sc.name+strings.Trim(route, "?="), "")
	}
	if method == "" {
		method = http.MethodPost
	}
	path := route + db + "&precision=s" + sc.params
	if sc.before != "" {
		at.site.post(path, sc.before).is(t, http.StatusNoContent, "")
	}
	headers := make([]string, len(sc.headers))
	for i, h := range sc.headers {
		headers[i] = os.Expand(h, func(name string) string { return at.vars[name] })
	}
	return at.site.do(method, path, strings.NewReader(sc.body), headers...)
}

var notLetters = regexp.MustCompile("[^a-z0-9]")

// TestEveryOutcomeIsAnsweredAsTheContractSays compares every answer with
// testdata/write_answers.txt, which -update rewrites, and its status with the scenario's.
func TestEveryOutcomeIsAnsweredAsTheContractSays(t *testing.T) {
	var got bytes.Buffer
	servers := make(stages)
	for i := range scenarios {
		sc := &scenarios[i]
		for _, route := range writeRoutes {
			var shown [3]string
			for j, c := range contracts {
				a := sc.run(t, servers.get(t, c, sc.setup), route)
				if a.StatusCode != sc.status[j] {
					t.Errorf("%s, %s under %s: status %d, want %d", sc.name, route, c, a.StatusCode, sc.status[j])
				}
				checkAnswer(t, fmt.Sprintf("%s, %s under %s", sc.name, route, c), a)
				shown[j] = a.show()
			}
			path, _, _ := strings.Cut(route, "?")
			fmt.Fprintf(&got, "=== %s: %s\n%s\n", sc.name, path, byContract(shown, "--- %s\n", ", "))
		}
	}
	compareGolden(t, filepath.Join("testdata", "write_answers.txt"), got.Bytes())
}

// checkAnswer checks what holds for every answer to a write.
func checkAnswer(t *testing.T, what string, a answer) {
	t.Helper()
	if hasBody := a.StatusCode != http.StatusNoContent; hasBody != (a.Header.Get("Content-Type") == "application/json") {
		t.Errorf("%s: %d with Content-Type %q", what, a.StatusCode, a.Header.Get("Content-Type"))
	}
	retry := a.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(retry); retry != "" && (err != nil || seconds < 1) {
		t.Errorf("%s: Retry-After %q is not a number of seconds", what, retry)
	}
	switch a.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if retry == "" {
			t.Errorf("%s: no Retry-After", what)
		}
	case http.StatusMethodNotAllowed:
		if a.Header.Get("Allow") == "" {
			t.Errorf("%s: no Allow", what)
		}
	case http.StatusInternalServerError:
		if !strings.Contains(a.text, a.Header.Get(requestIDHeader)) {
			t.Errorf("%s: no request id in %s", what, a.text)
		}
	}
}

// shownHeaders are the headers of an answer that matter here, in the order of showing.
var shownHeaders = []string{"Content-Type", "Allow", "Retry-After", "Preference-Applied", AcceptedHeader, RejectedHeader, FirstRejectedHeader, ErrorHeader}

var uuidText = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// show prints an answer as curl -i does, but for headers that do not matter.
func (a answer) show() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", a.Proto, a.Status)
	for _, name := range shownHeaders {
		for _, value := range a.Header.Values(name) {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	if a.text != "" {
		fmt.Fprintf(&b, "\n%s", a.text)
	}
	return uuidText.ReplaceAllString(b.String(), "<request id>")
}

// byContract puts the same answers of several contracts together, below a title with
// their names.
func byContract(shown [3]string, title, separator string) string {
	var b strings.Builder
	done := map[string]bool{}
	for i, text := range shown {
		if done[text] {
			continue
		}
		done[text] = true
		var names []string
		for j := i; j < len(shown); j++ {
			if shown[j] == text {
				names = append(names, string(contracts[j]))
			}
		}
		fmt.Fprintf(&b, title, strings.Join(names, separator))
		b.WriteString(text)
	}
	return b.String()
}

// compareGolden compares with a file, or rewrites it with -update.
func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("%s differs; -update rewrites it (-want +got):\n%s", path, diff)
	}
}

// TestContractAnswersEveryOutcome: a new outcome cannot be forgotten.
func TestContractAnswersEveryOutcome(t *testing.T) {
	for o := range outcome(outcomes) {
		for _, c := range contracts {
			r := c.reply(o)
			if http.StatusText(r.status) == "" {
				t.Errorf("outcome %d under %s has status %d", o, c, r.status)
			}
			if r.status == http.StatusNoContent && (r.form == pointsBody || r.form == errorText) {
				t.Errorf("outcome %d under %s has a body, which 204 cannot", o, c)
			}
		}
	}
	for status, o := range failures {
		if got := ContractCore.reply(o).status; got != status {
			t.Errorf("an error of status %d is answered %d under core", status, got)
		}
	}
}

func TestUnknownContractIsRefused(t *testing.T) {
	_, err := New(Options{WriteContract: "cloud"})
	if err == nil || !strings.Contains(err.Error(), `"cloud" does not exist; the contracts are core, dedicated and serverless`) {
		t.Errorf("got %v", err)
	}
}
