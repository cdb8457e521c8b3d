package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRecordsBecomeTablesBetweenTheMarks writes a record as a run does and renders a page with it.
func TestRecordsBecomeTablesBetweenTheMarks(t *testing.T) {
	dir := t.TempDir()
	us, them := caseResult{Name: ourName}, caseResult{Name: "X"}
	us.add("rows/s", 500)
	them.add("rows/s", 250)
	r := &record{Date: time.Date(2026, 11, 21, 1, 2, 3, 0, time.UTC), Server: "siltstone 1", Repeat: 1, Scenarios: []scenarioRecord{
		{Name: "peers-write", Cases: []caseResult{us, them}, Notes: []string{"Y is left out: it is not here."}},
		{Name: "ack", Cases: []caseResult{us}},
	}}
	if err := r.keep(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "older-ack.json"), []byte(`{"scenarios":[{"name":"ack","cases":[]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	records, err := readRecords(dir)
	if err != nil || len(records) != 2 || len(records["ack"].scenario.Cases) != 1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	page := filepath.Join(dir, "page.md")
	const before = "# A\n\n<!-- bench peers-write -->\nold\n<!-- /bench -->\n\nB\n\n<!-- bench query -->\nkept\n<!-- /bench -->\n"
	if err := os.WriteFile(page, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	var once []byte
	for range 2 {
		if err := renderPage(page, records); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if once != nil && !bytes.Equal(once, text) {
			t.Errorf("the second time the page is\n%s", text)
		}
		once = text
	}
	for _, want := range []string{"# A\n\n<!-- bench peers-write -->\n\n|", "| rows/s |       500 | 250 |", "X / Siltstone", "0.500", "siltstone 1; 2026-11-21. One run. Y is left out", "\n\nB\n\n<!-- bench query -->\nkept\n"} {
		if !strings.Contains(string(once), want) {
			t.Errorf("the page has no %q:\n%s", want, once)
		}
	}
	if strings.Contains(string(once), "old") {
		t.Error("the old section is still there")
	}
}

// TestPlotsShowWhatTheRecordsHave draws every plot, with cases that lack measures.
func TestPlotsShowWhatTheRecordsHave(t *testing.T) {
	case1, case2 := caseResult{Name: "case 1"}, caseResult{Name: "case 2"}
	case1.add(gen1Measure, 10)
	case1.add(poolMeasure, 20)
	case1.add(memoryMeasure, 321)
	case1.add("files: median ms", 432)
	case1.add(ourName+" ms", 543)
	case1.add(ourName+" CPU ms", 999)
	case1.add("1 client: ack p50 ms", 654)
	case1.add("CPU s per M rows incl. flush", 765)
	want := map[string]string{"tuning": "321", "age": "321", "query": "432", "peers-query": "543", "peers-write": "654", "ingest": "765"}
	for _, p := range plots {
		text := string(p.figure([]caseResult{case1, case2}).SVG())
		if !strings.Contains(text, ">"+want[p.scenario]+"<") || strings.Contains(text, "999") {
			t.Errorf("%s does not show %s:\n%s", p.file, want[p.scenario], text)
		}
	}
}

// TestTheDocumentationHasSectionsOfScenarios: a mark with a slip in it would never be rendered.
func TestTheDocumentationHasSectionsOfScenarios(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	known := "ingest ack replay start query mixed compact age backfill tuning peers-write peers-query"
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		sections := section.FindAllSubmatch(text, -1)
		if marks := strings.Count(string(text), "<!-- bench "); marks != len(sections) {
			t.Errorf("%s has %d marks and %d sections", page, marks, len(sections))
		}
		for _, s := range sections {
			if !strings.Contains(" "+known+" ", " "+string(s[2])+" ") {
				t.Errorf("%s has a section of %s, which is no scenario", page, s[2])
			}
		}
	}
}
