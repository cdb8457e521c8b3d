package clients

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// album is one file of testdata/seen: what users see in one situation, by who they are.
// Those who see the same stand together.
type album struct {
	path     string
	pictures map[string]string // the text by the name of who sees it
	changed  bool
}

// heading begins the line that names who sees what follows.
const heading = "## "

// openAlbum reads a file. With -update it is written when the test ends.
func openAlbum(t *testing.T, name string) *album {
	t.Helper()
	a := &album{path: filepath.Join("testdata", "seen", name+".txt"), pictures: make(map[string]string)}
	text, err := os.ReadFile(a.path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	a.parse(string(text))
	t.Cleanup(func() {
		if !a.changed {
			return
		}
		if err := os.WriteFile(a.path, []byte(a.String()), 0o644); err != nil {
			t.Error(err)
		}
	})
	return a
}

func (a *album) parse(text string) {
	var who []string
	var picture strings.Builder
	end := func() {
		for _, w := range who {
			a.pictures[w] = strings.TrimSpace(picture.String())
		}
		who = nil
		picture.Reset()
	}
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, heading); ok {
			if picture.Len() > 0 {
				end()
			}
			who = append(who, strings.TrimSpace(name))
			continue
		}
		picture.WriteString(line)
	}
	end()
}

func (a *album) String() string {
	seers := make(map[string][]string)
	for _, who := range slices.Sorted(maps.Keys(a.pictures)) {
		seers[a.pictures[who]] = append(seers[a.pictures[who]], who)
	}
	pictures := slices.SortedFunc(maps.Keys(seers), func(x, y string) int {
		return strings.Compare(seers[x][0], seers[y][0])
	})
	var b strings.Builder
	for _, picture := range pictures {
		for _, who := range seers[picture] {
			fmt.Fprintf(&b, "%s%s\n", heading, who)
		}
		fmt.Fprintf(&b, "%s\n\n", picture)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// check compares what somebody sees with the file, but for times and other figures that
// differ from run to run.
func (a *album) check(t *testing.T, who, picture string) {
	t.Helper()
	a.checkExactly(t, who, withoutVariables(picture))
}

// checkExactly compares what somebody sees with the file.
func (a *album) checkExactly(t *testing.T, who, picture string) {
	t.Helper()
	picture = strings.TrimSpace(picture)
	want, ok := a.pictures[who]
	switch {
	case want == picture:
	case *update:
		a.pictures[who], a.changed = picture, true
	case !ok:
		t.Errorf("%s says nothing of %s; -update adds it", a.path, who)
	default:
		t.Errorf("%s sees, of %s,\n%s\nnot\n%s", who, a.path, picture, want)
	}
}

// variable is what differs from run to run, with what stands for it.
var variable = []struct {
	text *regexp.Regexp
	name string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z`), "<time>"},
	{regexp.MustCompile(`\d+ of \d+ bytes are in use and the request needs about \d+`), "<n> of <n> bytes are in use and the request needs about <n>"},
	{regexp.MustCompile(`retry in \d+ s`), "retry in <n> s"},
	{regexp.MustCompile(`(,f\d+=1){10,}[,f\d=]*`), ",<fields>"},
}

// picture is the text of testdata/seen.
func (s seen) picture(database string) string {
	if s.OK {
		return "success"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, status %d", s.Type, s.Status)
	if s.Code != "" {
		fmt.Fprintf(&b, ", code %s", s.Code)
	}
	if s.RetryAfter != "" {
		fmt.Fprint(&b, ", to be repeated after <n> seconds")
	}
	fmt.Fprintf(&b, "\n%s\n", s.Text)
	for _, l := range s.Lines {
		fmt.Fprintf(&b, "- line %d, %s: %s\n", l.Line, l.Message, l.Original)
	}
	return strings.ReplaceAll(b.String(), database, "<database>")
}

func withoutVariables(text string) string {
	for _, v := range variable {
		text = v.text.ReplaceAllString(text, v.name)
	}
	return strings.TrimSpace(text)
}
