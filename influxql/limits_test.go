package influxql

import (
	"errors"
	"strings"
	"testing"
)

// A text that would exhaust the stack, or be written down in minutes, is refused.
func TestParseRefusesWhatIsTooDeep(t *testing.T) {
	nested := func(n int, open, inner, end string) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	long := map[string]any{"p": strings.Repeat("x", 64<<10)}
	for name, c := range map[string]struct {
		text   string
		params map[string]any
		fails  bool
	}{
		"parentheses":                  {"SELECT " + nested(maxNesting, "(", "a", ")") + " FROM m", nil, false},
		"more parentheses":             {"SELECT " + nested(maxNesting+1, "(", "a", ")") + " FROM m", nil, true},
		"parentheses of a bomb":        {"SELECT " + nested(1_000_000, "(", "a", ")") + " FROM m", nil, true},
		"parentheses within the size":  {"SELECT " + nested(100_000, "(", "a", ")") + " FROM m", nil, true},
		"calls":                        {"SELECT " + nested(maxNesting+1, "abs(", "a", ")") + " FROM m", nil, true},
		"subqueries":                   {nested(maxNesting+1, "SELECT a FROM (", "SELECT a FROM m", ")"), nil, true},
		"operators":                    {"SELECT a FROM m WHERE " + strings.Repeat("a = 1 OR ", 1000) + "a = 1", nil, false},
		"more operators":               {"SELECT a" + strings.Repeat(" + a", maxOperators+1) + " FROM m", nil, true},
		"operators to the right":       {"SELECT " + nested(maxNesting+1, "(a + ", "a", ")") + " FROM m", nil, true},
		"a condition of SHOW":          {"SHOW MEASUREMENTS WHERE " + nested(maxNesting+1, "(", "a = 'b'", ")"), nil, true},
		"another":                      {"SHOW TAG VALUES WITH KEY = k WHERE " + nested(maxNesting+1, "(", "a = 'b'", ")"), nil, true},
		"many calls":                   {"SELECT " + strings.Repeat("mean(a), ", 5000) + "mean(a) FROM m", nil, false},
		"a long value":                 {"SELECT a FROM m WHERE h = $p", long, false},
		"a long value again and again": {"SELECT a FROM m WHERE " + strings.Repeat("h = $p OR ", 1000) + "h = $p", long, true},
		"a long text":                  {"SELECT a FROM m WHERE h = '" + strings.Repeat("x", maxTextBytes) + "'", nil, true},
	} {
		statements, err := Parse(c.text, c.params)
		var refused *StatementError
		if c.fails != errors.As(err, &refused) || !c.fails && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, s := range statements {
			_ = s.Text()
		}
	}
}
