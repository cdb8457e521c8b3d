package httpapi

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/engine"
)

var dialects = map[string]*dialect{"v1": dialectV1, "v2": dialectV2, "v3": dialectV3}

// TestParametersAreUnderstood: what is not mentioned has its default.
func TestParametersAreUnderstood(t *testing.T) {
	type want struct {
		database  string
		precision engine.Precision
		partial   bool
		noSync    bool
	}
	cases := []struct {
		dialect, query string
		want           want
	}{
		{"v1", "db=a", want{"a", engine.Nanosecond, true, false}},
		{"v2", "bucket=a", want{"a", engine.Nanosecond, true, false}},
		{"v3", "db=a", want{"a", engine.Auto, true, false}},
		{"v1", "db=a&accept_partial=false", want{"a", engine.Nanosecond, false, false}},
		{"v2", "bucket=a&accept_partial=false", want{"a", engine.Nanosecond, false, false}},
		{"v3", "db=a&accept_partial=false&no_sync=true", want{"a", engine.Auto, false, true}},
		{"v1", "db=a&no_sync=true", want{"a", engine.Nanosecond, true, false}},
		{"v2", "bucket=a&no_sync=perhaps", want{"a", engine.Nanosecond, true, false}},
		{"v3", "db=a&precision=", want{"a", engine.Auto, true, false}},
		{"v1", "db=a&precision=", want{"a", engine.Nanosecond, true, false}},
		{"v3", "db=a&precision=auto", want{"a", engine.Auto, true, false}},
		{"v1", "db=a&precision=m", want{"a", engine.Minute, true, false}},
		{"v1", "db=a&precision=h", want{"a", engine.Hour, true, false}},
		{"v1", "db=a&precision=hour", want{"a", engine.Hour, true, false}},
		{"v1", "consistency=all&db=a&precision=ns&rp=", want{"a", engine.Nanosecond, true, false}},
		{"v1", "db=a&rp=''", want{"a", engine.Nanosecond, true, false}},
		{"v1", "db=a&rp=AutoGen", want{"a", engine.Nanosecond, true, false}},
		{"v1", "db=a&rp=default", want{"a", engine.Nanosecond, true, false}},
		{"v1", "db=a&rp=Weekly", want{"a/weekly", engine.Nanosecond, true, false}},
		{"v2", "bucket=a/weekly&rp=ignored", want{"a/weekly", engine.Nanosecond, true, false}},
		{"v3", "db=a/weekly&rp=ignored", want{"a/weekly", engine.Auto, true, false}},
		{"v2", "org=&bucket=a&precision=ns", want{"a", engine.Nanosecond, true, false}},
		{"v2", "orgID=0123&bucket=a&unknown=%20", want{"a", engine.Nanosecond, true, false}},
	}
	for name := range dialects {
		for text, unit := range map[string]engine.Precision{
			"s": engine.Second, "second": engine.Second, "ms": engine.Millisecond, "millisecond": engine.Millisecond,
			"us": engine.Microsecond, "u": engine.Microsecond, "microsecond": engine.Microsecond,
			"ns": engine.Nanosecond, "n": engine.Nanosecond, "nanosecond": engine.Nanosecond,
		} {
			query := "bucket=a&db=a&precision=" + text
			cases = append(cases, struct {
				dialect, query string
				want           want
			}{name, query, want{"a", unit, true, false}})
		}
	}
	for _, c := range cases {
		req, err := dialects[c.dialect].params(c.query)
		if got := (want{req.Database, req.Precision, req.AcceptPartial, req.NoSync}); err != nil || got != c.want {
			t.Errorf("%s?%s: %+v, %v; want %+v", c.dialect, c.query, got, err, c.want)
		}
	}
}

func TestParametersAreRefusedInCoresWords(t *testing.T) {
	long := strings.Repeat("a", 65)
	cases := []struct{ dialect, query, want string }{
		{"v1", "", "no db destination provided"},
		{"v2", "", "no org/bucket destination provided"},
		{"v3", "", "missing query parameter 'db'"},
		{"v1", "precision=s", "failed to deserialize db/rp/precision in request: missing field `db`"},
		{"v2", "org=o", "missing bucket value"},
		{"v3", "bucket=a", "serde error: missing field `db`"},
		{"v1", "db=a&precision=d", "failed to deserialize db/rp/precision in request: unknown variant `d`, expected one of `second`, `millisecond`, `microsecond`, `nanosecond`, `minute`, `hour`"},
		{"v2", "bucket=a&precision=m", "failed to deserialize org/bucket/precision in request: unknown variant `m`, expected one of `second`, `millisecond`, `microsecond`, `nanosecond`"},
		{"v2", "bucket=a&precision=auto", "failed to deserialize org/bucket/precision in request: unknown variant `auto`, expected one of `second`, `millisecond`, `microsecond`, `nanosecond`"},
		{"v3", "db=a&precision=h", "serde error: unknown variant `h`, expected one of `auto`, `second`, `millisecond`, `microsecond`, `nanosecond`"},
		{"v1", "db=a&accept_partial=1", "failed to deserialize db/rp/precision in request: provided string was not `true` or `false`: accept_partial=1"},
		{"v2", "bucket=a&accept_partial=", "failed to deserialize org/bucket/precision in request: provided string was not `true` or `false`: accept_partial="},
		{"v3", "db=a&no_sync=yes", "serde error: provided string was not `true` or `false`: no_sync=yes"},
		{"v3", "db=%zz", `malformed query string: invalid URL escape "%zz"`},
		{"v1", "db=", "namespace name  length must be between 1 and 64 characters"},
		{"v2", "bucket=" + long, "namespace name " + long + " length must be between 1 and 64 characters"},
		{"v2", "bucket=a%20b", "namespace name 'a b' contains invalid character, character number 1 is not allowed"},
		{"v1", "db=a&rp=x%C3%A9", "namespace name 'a/xé' contains invalid character, character number 3 is not allowed"},
	}
	for _, c := range cases {
		_, err := dialects[c.dialect].params(c.query)
		if err == nil {
			t.Errorf("%s?%s is accepted", c.dialect, c.query)
			continue
		}
		if status, text := statusOf(err); status != 400 || text != c.want {
			t.Errorf("%s?%s: %d %s\n    want %s", c.dialect, c.query, status, text, c.want)
		}
	}
}

// TestNamesFollowTheRulesOfDatabases on all routes, after those of namespaces.
func TestNamesFollowTheRulesOfDatabases(t *testing.T) {
	s := newSite(t, Options{}, true)
	for name, want := range map[string]string{
		"_a":    "db name did not start with a number or letter",
		"a/":    "db name with invalid retention policy, if providing a retention policy name, must be of form '<db_name>/<rp_name>'",
		"a/b/c": "db name with invalid retention policy, if providing a retention policy name, must be of form '<db_name>/<rp_name>'",
	} {
		old := fmt.Sprintf(`{"code":"invalid","message":%q,"error":%q}`, want, want)
		s.post("/write?db="+url.QueryEscape(name), "cpu v=1").is(t, 400, old)
		s.post("/api/v2/write?bucket="+url.QueryEscape(name), "cpu v=1").is(t, 400, old)
		s.post("/api/v3/write_lp?db="+url.QueryEscape(name), "cpu v=1").is(t, 400, fmt.Sprintf(`{"error":%q}`, want))
	}
	s.post("/api/v3/write_lp?db="+strings.Repeat("a", 65), "cpu v=1").is(t, 204, "")
}

// FuzzWriteParams: whatever the query string is, the answer is a request or a 400.
func FuzzWriteParams(f *testing.F) {
	for _, seed := range []string{
		"db=a", "", "bucket=a&precision=ns", "db=%zz", "db=a;b", "accept_partial=true&db=x&no_sync=false",
		"consistency=all&db=d&precision=m&rp=", "db=a&rp=''", "org=o&orgID=&bucket=b", "db=a&rp=%C3",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for name, d := range dialects {
			req, err := d.params(raw)
			if err == nil {
				if d.namespaces && (req.Database == "" || len(req.Database) > maxNamespace) {
					t.Errorf("%s: database %q", name, req.Database)
				}
				continue
			}
			if status, _ := statusOf(err); status != 400 {
				t.Errorf("%s: status %d for %v", name, status, err)
			}
		}
	})
}
