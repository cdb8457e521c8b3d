package main

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/schema"
)

func TestAudienceIsNeverLargerThanMeant(t *testing.T) {
	const refused audience = 99
	none := auth.NewIndex(nil)
	scoped := auth.NewIndex([]*schema.Token{{Name: "sensors"}})
	admin := auth.NewIndex([]*schema.Token{{Name: "sensors"}, {Name: "ada", Admin: true, Expiry: 1}})
	for _, c := range []struct {
		ip          string
		withoutAuth bool
		tokens      *auth.Index
		want        audience
	}{
		{"127.0.0.1", false, none, thisMachine},
		{"127.1.2.3", false, none, thisMachine},
		{"::1", false, none, thisMachine},
		{"127.0.0.1", false, scoped, tokenHolders},
		{"127.0.0.1", false, admin, tokenHolders},
		{"127.0.0.1", true, none, everybody},
		{"0.0.0.0", false, none, refused},
		{"::", false, none, refused},
		{"192.168.0.7", false, none, refused},
		{"fe80::1", false, none, refused},
		{"0.0.0.0", false, scoped, refused}, // the first stranger would make an admin token
		{"0.0.0.0", false, admin, tokenHolders},
		{"192.168.0.7", false, admin, tokenHolders},
		{"0.0.0.0", true, none, everybody},
		{"0.0.0.0", true, admin, everybody},
	} {
		got, err := audienceOf(&net.TCPAddr{IP: net.ParseIP(c.ip), Port: 8181}, c.withoutAuth, c.tokens)
		if err != nil {
			got = refused
		}
		if got != c.want {
			t.Errorf("%+v: got %d, %v", c, got, err)
		}
	}
	if _, err := audienceOf(&net.UnixAddr{Name: "/run/x"}, false, none); err == nil {
		t.Error("an address that is not known to be a loopback one is open")
	}
}

func TestRefusalNamesTheWaysOut(t *testing.T) {
	_, err := audienceOf(&net.TCPAddr{IP: net.IPv4zero, Port: 8181}, false, auth.NewIndex(nil))
	for _, want := range []string{"0.0.0.0:8181", "--http-bind 127.0.0.1", "--admin-token-file", "--without-auth"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestOpenServersSayThatTheyAreOpen(t *testing.T) {
	for whom, want := range map[audience]string{
		thisMachine:  "siltstone create token --admin --host http://127.0.0.1:8181",
		everybody:    "without authentication",
		tokenHolders: "",
	} {
		var out bytes.Buffer
		whom.announce(slog.New(slog.NewTextHandler(&out, nil)), "http://127.0.0.1:8181")
		if got := out.String(); !strings.Contains(got, want) || strings.Count(got, "\n") != min(len(want), 1) {
			t.Errorf("audience %d: %q", whom, got)
		}
	}
}

func TestClosedDoorAnswersNothing(t *testing.T) {
	d := &door{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })}
	for _, path := range []string{"/", "/ping", "/health", "/metrics", "/api/v3/query_sql?db=x&q=SELECT+1"} {
		rec := httptest.NewRecorder()
		d.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" || rec.Body.String() != `{"error":"the server is starting"}` {
			t.Errorf("%s: %d, %s", path, rec.Code, rec.Body)
		}
	}
	d.isOpen.Store(true)
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	if rec.Code != http.StatusTeapot {
		t.Errorf("an open door answers %d", rec.Code)
	}
}
