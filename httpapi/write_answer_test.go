package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/engine"
)

// TestMessageListsAHundredPoints and says how many more there were.
func TestMessageListsAHundredPoints(t *testing.T) {
	s := newSite(t, Options{}, true)
	body := "cpu v=1 1\n" + strings.Repeat("bad\n", 117)
	for query, want := range map[string]string{
		"":                      "… and 17 more",
		"&accept_partial=false": "… and 18 more with them, because accept_partial is false",
	} {
		a := s.post("/api/v2/write?bucket=home"+query, body)
		var got writeErrorBody
		if err := json.Unmarshal([]byte(a.text), &got); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(got.Message, "\n")
		if len(lines) != 102 || lines[101] != want {
			t.Errorf("%q: %d lines, the last is %q", query, len(lines), lines[len(lines)-1])
		}
		for i, line := range lines[1:101] {
			if prefix := fmt.Sprintf("error parsing line %d (1-based): No fields were provided", i+2); !strings.HasPrefix(line, prefix) {
				t.Fatalf("%q: %q does not begin with %q", query, line, prefix)
			}
		}
		if got.Line != 2 {
			t.Errorf("%q: line %d", query, got.Line)
		}
	}
}

// TestMessagesAreInTheWordsOfTheSeeds: the example that the products' manuals give.
func TestMessagesAreInTheWordsOfTheSeeds(t *testing.T) {
	s := newSite(t, Options{WriteContract: ContractDedicated}, true)
	a := s.post("/api/v2/write?bucket=home", "home v=1 1\n,room=a v=1\nhome v=2 2\nhome v=1 123461000000000000000000000000")
	if a.StatusCode != http.StatusCreated {
		t.Errorf("answered %s", a.Status)
	}
	var got writeErrorBody
	if err := json.Unmarshal([]byte(a.text), &got); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"failed to parse line protocol: errors encountered on line(s):",
		"error parsing line 2 (1-based): Invalid measurement was provided",
		"error parsing line 4 (1-based): Unable to parse timestamp value '123461000000000000000000000000'",
	}
	lines := strings.Split(got.Message, "\n")
	for i := range want {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d of %q does not begin with %q", i+1, lines, want[i])
		}
	}
	if got.Code != "invalid" || got.Line != 2 || len(lines) != len(want) {
		t.Errorf("%+v", got)
	}
}

func TestEachPointHasOneLineOfTheMessage(t *testing.T) {
	res := &written{partial: true, WriteResult: engine.WriteResult{Rejected: 2, Errors: []engine.LineError{
		{Line: 1, Message: "bad\nvalue", Original: "cpu s=\"a\r\n\tb", Hint: "mend\x00it", Syntax: true},
		{Line: 4, Message: "é…", Syntax: true},
	}}}
	want := "no data written, errors encountered on line(s):\n" +
		`error parsing line 1 (1-based): bad\nvalue, the line is 'cpu s="a\r\n\tb' (mend\x00it)` + "\n" +
		"error parsing line 4 (1-based): é…"
	got := res.message(ContractCore, malformed)
	if got != want {
		t.Errorf("message %q\n   want %q", got, want)
	}
	wantHeader := `no data written, errors encountered on line(s): ` +
		`error parsing line 1 (1-based): bad\nvalue, the line is 'cpu s="a\r\n\tb' (mend\x00it); error parsing line 4 (1-based): \u00e9\u2026`
	if got := headerText(got); got != wantHeader {
		t.Errorf("header %q\n  want %q", got, wantHeader)
	}
	if long := headerText("sum\n" + strings.Repeat("é", 500)); len(long) != maxHeaderText || !strings.HasSuffix(long, "...") {
		t.Errorf("a header of %d bytes: %q", len(long), long)
	}
}

func TestOutcomeIsWhatBecameOfThePoints(t *testing.T) {
	syntax, late, full := engine.LineError{Syntax: true}, engine.LineError{Expired: true}, engine.LineError{Limit: true}
	typed := engine.LineError{}
	for name, c := range map[string]struct {
		res  engine.WriteResult
		want outcome
	}{
		"all":                    {engine.WriteResult{Accepted: 2}, allAccepted},
		"some":                   {engine.WriteResult{Accepted: 1, Rejected: 1, Errors: []engine.LineError{syntax}}, someAccepted},
		"some are late":          {engine.WriteResult{Accepted: 1, Rejected: 1, Expired: 1, Errors: []engine.LineError{late}}, someAccepted},
		"none":                   {engine.WriteResult{Rejected: 2, Errors: []engine.LineError{syntax, typed}}, noneAccepted},
		"no line protocol":       {engine.WriteResult{Rejected: 2, Errors: []engine.LineError{syntax, syntax}}, malformed},
		"all are late":           {engine.WriteResult{Rejected: 2, Expired: 2, Errors: []engine.LineError{late, late}}, expired},
		"late and bad":           {engine.WriteResult{Rejected: 2, Expired: 1, Errors: []engine.LineError{late, syntax}}, noneAccepted},
		"late, with others":      {engine.WriteResult{Rejected: 2, Expired: 1, Errors: []engine.LineError{late}}, noneAccepted},
		"limit":                  {engine.WriteResult{Accepted: 1, Rejected: 1, Errors: []engine.LineError{full}}, someBeyondLimit},
		"limit, none accepted":   {engine.WriteResult{Rejected: 1, Errors: []engine.LineError{full}}, beyondLimit},
		"limit and others":       {engine.WriteResult{Accepted: 1, Rejected: 2, Errors: []engine.LineError{full, syntax}}, someAccepted},
		"limit and others, none": {engine.WriteResult{Rejected: 2, Errors: []engine.LineError{full, syntax}}, noneAccepted},
	} {
		if got := (&written{WriteResult: c.res}).outcome(); got != c.want {
			t.Errorf("%s: outcome %d, want %d", name, got, c.want)
		}
	}
}

func TestPreferIsRead(t *testing.T) {
	for header, want := range map[string]bool{
		"":                                        false,
		"return=representation":                   true,
		"respond-async, Return=representation":    true,
		`wait=10,return="representation"; foo=1`:  true,
		" return = representation ":               true,
		"return=minimal":                          false,
		"return=minimal, return=representation":   false,
		"return":                                  false,
		"handling=lenient; return=representation": false,
	} {
		if got := prefersBody(http.Header{"Prefer": {header}}); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
	if !prefersBody(http.Header{"Prefer": {"wait=1", "return=representation"}}) {
		t.Error("the second header is not read")
	}
}

// TestTelegrafUnderstandsErrors: its output for InfluxDB 1 decides by texts in error.
// Those that make it drop what it should send again, or create a database that exists, must
// not come up elsewhere.
func TestTelegrafUnderstandsErrors(t *testing.T) {
	const creates = "database not found"
	drops := []string{
		"retention policy not found", "hinted handoff queue not empty", "points beyond retention policy",
		"partial write", "unable to parse",
	}
	servers := make(stages)
	for i := range scenarios {
		sc := &scenarios[i]
		for _, c := range contracts {
			a := sc.run(t, servers.get(t, c, sc.setup), writeRoutes[0])
			var got struct{ Error string }
			if err := json.Unmarshal([]byte(a.text), &got); a.text != "" && err != nil {
				t.Fatal(err)
			}
			if strings.Contains(got.Error, creates) != (a.StatusCode == http.StatusNotFound) {
				t.Errorf("%s under %s: %d with error %q", sc.name, c, a.StatusCode, got.Error)
			}
			dropped := false
			for _, text := range drops {
				dropped = dropped || strings.Contains(got.Error, text)
			}
			switch {
			case a.StatusCode >= 500 && dropped:
				t.Errorf("%s under %s: %d is dropped because of %q", sc.name, c, a.StatusCode, got.Error)
			case a.StatusCode == http.StatusCreated && !dropped:
				t.Errorf("%s under %s: 201 is sent again for ever, because of %q", sc.name, c, got.Error)
			}
		}
	}
}
