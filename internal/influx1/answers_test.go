//go:build duckdb_arrow

package influx1

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite what Siltstone answers where it may differ, to be read in review")

var show = flag.String("show", "", "print both answers to the questions that contain this text")

// Files of our answers where they may differ, so that they change in review only.
const (
	ownPath          = "testdata/siltstone.txt"
	ownDeletionsPath = "testdata/siltstone-deletions.txt"
)

// leave is what an answer is allowed to differ in.
type leave struct {
	anything bool
	words    bool // both refuse, with other texts
	order    bool // series, or the rows of a series, come in another order
	reason   string
}

// readDifferences reads testdata/differences.txt, or its like: paragraphs of a reason, in lines that
// begin with #, and of questions that it holds for, each behind what may differ.
func readDifferences(t *testing.T, path string) map[string]leave {
	t.Helper()
	all := make(map[string]leave)
	var reason []string
	for i, line := range readLines(t, path) {
		kind, key, _ := strings.Cut(line, " ")
		if kind == "" {
			reason = nil
			continue
		}
		if kind == "#" {
			reason = append(reason, key)
			continue
		}
		l := leave{reason: strings.Join(reason, " ")}
		switch kind {
		case "anything":
			l.anything = true
		case "words":
			l.words = true
		case "order":
			l.order = true
		default:
			t.Errorf("%s line %d: what is %q?", path, i+1, kind)
		}
		if _, twice := all[key]; twice || l.reason == "" {
			t.Errorf("%s line %d: twice, or without a reason", path, i+1)
		}
		all[key] = l
	}
	return all
}

// tally counts the questions of a section.
type tally struct{ asked, equal, listed int }

// TestAnswersAreThoseOfInfluxDB1 shows C1 to C3.
func TestAnswersAreThoseOfInfluxDB1(t *testing.T) {
	for _, s := range states {
		t.Run(s.name, func(t *testing.T) {
			srv := startSiltstone(t)
			s.load(srv, readData(t))
			checkAnswers(t, srv)
		})
	}
}

func checkAnswers(t *testing.T, srv *server) {
	c := newChecker(t, recordingPath, "testdata/differences.txt", ownPath)
	for _, q := range readCorpus(t) {
		c.check(q, srv.ask(q))
	}
	c.end()
}

// TestDeletionsLeaveWhatInfluxDB1Leaves shows C1 to C3 for statements that delete.
func TestDeletionsLeaveWhatInfluxDB1Leaves(t *testing.T) {
	for _, s := range states {
		t.Run(s.name, func(t *testing.T) {
			srv := startSiltstone(t)
			all, data := readDeletions(t)
			s.load(srv, data)
			c := newChecker(t, deletionsPath, "testdata/differences-deletions.txt", ownDeletionsPath)
			for _, d := range all {
				srv.delete(d, c.check)
			}
			c.end()
		})
	}
}

// checker compares answers with what is recorded.
type checker struct {
	t             *testing.T
	recorded, own map[string]reply
	differences   map[string]leave // those that were not met yet
	sections      []string
	counts        map[string]*tally
	now           strings.Builder // the file of own answers as it would be

	recordingPath, differencesPath, ownPath string
}

func newChecker(t *testing.T, recording, differences, own string) *checker {
	return &checker{
		t: t, recorded: readRecording(t, recording), own: readRecording(t, own), differences: readDifferences(t, differences),
		counts: make(map[string]*tally), recordingPath: recording, differencesPath: differences, ownPath: own,
	}
}

// end says what was listed and not asked, and sums up.
func (c *checker) end() {
	c.t.Helper()
	for key := range c.differences {
		c.t.Errorf("%s lists what nobody asks: %s", c.differencesPath, key)
	}
	if *update {
		writeRecording(c.t, c.ownPath, &c.now)
	}
	c.t.Log(summary(c.sections, c.counts))
}

func (c *checker) check(q question, got reply) {
	c.t.Helper()
	want, ok := c.recorded[q.key()]
	if !ok {
		c.t.Fatalf("%s has no answer to %s; run TestRecording with -record", c.recordingPath, q)
	}
	if c.counts[q.section] == nil {
		c.counts[q.section] = new(tally)
		c.sections = append(c.sections, q.section)
	}
	count := c.counts[q.section]
	count.asked++
	may, listed := c.differences[q.key()]
	delete(c.differences, q.key())
	exact := difference(want, got, leave{})
	if *show != "" && strings.Contains(q.key(), *show) {
		c.t.Logf("%s\nInfluxDB  %s\nSiltstone %s", q, want.line(), got.line())
	}
	switch {
	case exact == "" && listed && !may.order: // whose order may be equal by chance
		c.t.Errorf("%s\n\tis listed in %s and does not differ", q, c.differencesPath)
	case exact == "":
		count.equal++
	case listed:
		count.listed++
		c.checkListed(q, want, got, may)
	default:
		c.t.Errorf("%s\n\t%s", q, exact)
	}
}

// checkListed checks that an answer differs in what it may, and in nothing new.
func (c *checker) checkListed(q question, want, got reply, may leave) {
	c.t.Helper()
	if d := difference(want, got, may); d != "" && !may.anything {
		c.t.Errorf("%s\n\t%s", q, d)
	}
	if may.order {
		return // as may we
	}
	writeAnswer(&c.now, q, got)
	if own, ok := c.own[q.key()]; !*update && (!ok || difference(own, got, leave{}) != "") {
		c.t.Errorf("%s\n\tanswers %.300s\n\twhich %s does not say; -update makes it", q, got.body, c.ownPath)
	}
}

func summary(sections []string, counts map[string]*tally) string {
	var b strings.Builder
	var all tally
	for _, name := range sections {
		c := *counts[name]
		fmt.Fprintf(&b, "\n%4d of %4d equal, %3d listed: %s", c.equal, c.asked, c.listed, name)
		all = tally{all.asked + c.asked, all.equal + c.equal, all.listed + c.listed}
	}
	fmt.Fprintf(&b, "\n%4d of %4d equal, %3d listed in all", all.equal, all.asked, all.listed)
	return b.String()
}
