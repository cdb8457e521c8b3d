//go:build duckdb_arrow

package influx1

import (
	"fmt"
	"strings"
	"testing"
)

// leave is what an answer is allowed to differ in.
type leave struct {
	anything bool
	words    bool // both refuse, with other texts
	order    bool // the rows of a series come in another order
	reason   string
}

// readDifferences reads testdata/differences.txt: paragraphs of a reason, in lines that
// begin with #, and of questions that it holds for, each behind what may differ.
func readDifferences(t *testing.T) map[string]leave {
	t.Helper()
	all := make(map[string]leave)
	var reason []string
	for i, line := range readLines(t, "testdata/differences.txt") {
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
			t.Errorf("differences.txt line %d: what is %q?", i+1, kind)
		}
		if _, twice := all[key]; twice || l.reason == "" {
			t.Errorf("differences.txt line %d: twice, or without a reason", i+1)
		}
		all[key] = l
	}
	return all
}

// readPending returns the sections of questions that are asked but may fail yet.
func readPending(t *testing.T) map[string]bool {
	t.Helper()
	pending := make(map[string]bool)
	for _, line := range readLines(t, "testdata/pending.txt") {
		pending[line] = true
	}
	return pending
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
	corpus, recorded := readCorpus(t), readRecording(t)
	differences, pending := readDifferences(t), readPending(t)
	counts := make(map[string]*tally)
	var sections []string
	for _, q := range corpus {
		want, ok := recorded[q.key()]
		if !ok {
			t.Fatalf("%s has no answer to %s; run TestRecording with -record", recordingPath, q)
		}
		c := counts[q.section]
		if c == nil {
			c = new(tally)
			counts[q.section] = c
			sections = append(sections, q.section)
		}
		c.asked++
		got := srv.ask(q)
		may, listed := differences[q.key()]
		delete(differences, q.key())
		exact := difference(want, got, leave{})
		switch d := difference(want, got, may); {
		case listed && exact == "":
			t.Errorf("%s\n\tis listed in differences.txt and does not differ", q)
		case exact == "":
			c.equal++
		case listed && (d == "" || may.anything):
			c.listed++
		case pending[q.section]:
		default:
			t.Errorf("%s\n\t%s", q, d)
		}
	}
	for key := range differences {
		t.Errorf("differences.txt lists what nobody asks: %s", key)
	}
	t.Log(summary(sections, counts))
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
