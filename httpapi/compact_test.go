package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestCompactionTellsHowFarItIs: once a second by a clock that goes a second at each look, so at each part of a merge; and
// not at all by one that stands still.
func TestCompactionTellsHowFarItIs(t *testing.T) {
	for step, want := range map[time.Duration]string{
		compactProgressEvery: "running 0 merged 1 summary 1",
		0:                    "merged 1 summary 1",
	} {
		var looks atomic.Int64
		s := newSite(t, Options{Now: func() time.Time { return time.Unix(0, looks.Add(int64(step))) }}, true)
		for i := range 3 {
			s.write(fmt.Sprintf("cpu,host=a v=%d %d", i, i))
			s.post("/api/v3/flush", "").is(t, http.StatusNoContent, "")
		}
		var got []string
		a := s.post(compactPath+"?db=db&table=cpu&wait=true", "")
		for lines := json.NewDecoder(strings.NewReader(a.text)); ; {
			var line CompactLine
			if err := lines.Decode(&line); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("answered %d %s: %v", a.StatusCode, a.text, err)
			}
			if m := line.Running; m != nil {
				got = append(got, fmt.Sprint("running ", m.Outputs))
				if m.Database != "db" || m.Table != "cpu" || m.Reason == "" || m.Inputs != 3 || m.InputBytes == 0 || m.InputRows != 3 || m.Progress != 1 || !m.IsRunning {
					t.Errorf("of a merge that goes on: %+v", *m)
				}
			}
			if m := line.Merged; m != nil {
				got = append(got, fmt.Sprint("merged ", m.Outputs))
			}
			if line.Summary != nil {
				got = append(got, fmt.Sprint("summary ", line.Summary.Merges))
			}
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("with steps of %s: %s, want %s; all of it is\n%s", step, text, want, a.text)
		}
	}
}
