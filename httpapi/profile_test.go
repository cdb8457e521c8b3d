package httpapi

import (
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/schema"
)

// TestGoToolReadsProfiles has the tool fetch from a server that asks for tokens: it can send one as
// the password of the address. The profile takes longer than a client may stall.
func TestGoToolReadsProfiles(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("the go command is not here")
	}
	s := newSite(t, Options{MaxStall: 500 * time.Millisecond}, true)
	s.addToken(schema.Token{Name: auth.OperatorName, Admin: true}, "operator")
	for name, want := range map[string]string{"profile?seconds=1": "Type: cpu", "heap": "Type: inuse_space", "allocs": "Type: alloc_space"} {
		address := strings.Replace(s.url, "//", "//any:operator@", 1) + profilePath + name
		cmd := exec.CommandContext(t.Context(), tool, "tool", "pprof", "-top", "-symbolize=none", address)
		cmd.Env = append(cmd.Environ(), "PPROF_TMPDIR="+filepath.Join(t.TempDir(), "profiles"))
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, and not %q in:\n%s", name, err, want, out)
		}
	}
}

func TestProfilesAreRefusedInWords(t *testing.T) {
	s := newSite(t, Options{}, true)
	for _, c := range []struct {
		path   string
		status int
		text   string
	}{
		{"nothing", http.StatusNotFound, `there is no profile \"nothing\"; /debug/pprof/ lists them`},
		{"heap?seconds=1", http.StatusBadRequest, "takes no seconds"},
		{"heap?debug=x", http.StatusBadRequest, "0 is for Go's tools"},
		{"profile?seconds=0", http.StatusBadRequest, "above 0, up to 3600"},
		{"profile?seconds=NaN", http.StatusBadRequest, "above 0, up to 3600"},
		{"trace?seconds=3601", http.StatusBadRequest, "above 0, up to 3600"},
	} {
		a := s.get(profilePath + c.path)
		if kind := a.Header.Get("Content-Type"); a.StatusCode != c.status || !strings.Contains(a.text, c.text) || kind != "application/json" {
			t.Errorf("%s: %d %s %s", c.path, a.StatusCode, kind, a.text)
		}
	}
	if a := s.get(profilePath); a.StatusCode != http.StatusOK || !strings.Contains(a.text, "goroutine") {
		t.Errorf("the list is %d %s", a.StatusCode, a.text)
	}
	if a := s.get(profilePath + "goroutine?debug=1"); !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("the text is %s", a.Header.Get("Content-Type"))
	}
}

// TestOneProfileAtATime: who comes second is told so.
func TestOneProfileAtATime(t *testing.T) {
	s := newSite(t, Options{}, true)
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Fatal(err)
	}
	defer pprof.StopCPUProfile()
	s.get(profilePath+"profile?seconds=1").is(t, http.StatusConflict, `{"error":"another profile is being taken; try again when it is done"}`)
}

// TestAStopEndsAProfile and leaves what was profiled until then whole.
func TestAStopEndsAProfile(t *testing.T) {
	s := newSite(t, Options{}, true)
	first := make(chan answer, 1)
	go func() { first <- s.get(profilePath + "profile?seconds=3000") }()
	for pprof.StartCPUProfile(io.Discard) == nil { // the first one has not begun
		pprof.StopCPUProfile()
		select {
		case a := <-first: // it met ours
			a.is(t, http.StatusConflict, `{"error":"another profile is being taken; try again when it is done"}`)
			go func() { first <- s.get(profilePath + "profile?seconds=3000") }()
		default:
		}
	}
	s.api.SetStopping()
	a := <-first
	if a.StatusCode != http.StatusOK || !strings.HasPrefix(a.text, "\x1f\x8b") {
		t.Errorf("the profile is %d %.100q", a.StatusCode, a.text)
	}
}
