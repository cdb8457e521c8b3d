package flight

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// asRegexp writes a pattern of LIKE as a regular expression.
func asRegexp(pattern string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`^(?s:`)
	runes := []rune(pattern)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '%':
			b.WriteString(`.*`)
		case r == '_':
			b.WriteString(`.`)
		case r == '\\' && i+1 < len(runes):
			i++
			b.WriteString(regexp.QuoteMeta(string(runes[i])))
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	b.WriteString(`)$`)
	return regexp.MustCompile(b.String())
}

func TestLikeAgreesWithRegexp(t *testing.T) {
	letters := rapid.SampledFrom([]rune(`ab%_\ä`))
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(letters, 0, 8, -1).Draw(t, "pattern")
		name := rapid.StringOfN(letters, 0, 8, -1).Draw(t, "name")
		if got, want := like(pattern, name), asRegexp(pattern).MatchString(name); got != want {
			t.Fatalf("like(%q, %q) is %v", pattern, name, got)
		}
	})
}

func TestLikeTakesNoTimeForHostilePatterns(t *testing.T) {
	if like(strings.Repeat("%a", 1000), strings.Repeat("a", 500)) {
		t.Error("500 letters match 1,000")
	}
}
