package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// secretText is a token of the form that InfluxDB gives them.
var secretText = auth.TokenPrefix + strings.Repeat("Ab1-_", 10)

func tokenFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAdminTokenFileIsTextOrJSON(t *testing.T) {
	const millis = int64(1893456000000)
	for text, expiry := range map[string]int64{
		secretText:                0,
		" " + secretText + "\r\n": 0,
		fmt.Sprintf(`{"token":%q,"name":"_admin","expiry_millis":null}`, secretText):                       0,
		fmt.Sprintf(`{"token":%q,"name":"boss","description":"x","expiry_millis":%d}`, secretText, millis): millis,
	} {
		got, err := readAdminToken(tokenFile(t, text, 0o600))
		if err != nil || got.Token != secretText || (got.Expiry != nil) != (expiry != 0) || got.Expiry != nil && *got.Expiry != expiry {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

// TestFaultyAdminTokenFilesAreExplained, without a word of what they hold.
func TestFaultyAdminTokenFilesAreExplained(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "holds no token",
		"apiv3_short-hidden":    "holds no token",
		secretText[6:]:          "holds no token",
		secretText + " hidden":  "holds no token",
		secretText + "\nhidden": "holds no token",
		`{"token":"hidden"`:     "not JSON",
		`{"token":"hidden"}`:    "holds no token",
		`{"name":"hidden"}`:     "holds no token",
		`{"token":["hidden"]}`:  "not JSON",
		fmt.Sprintf(`{"token":%q,"expiry_millis":-1}`, secretText):                  "expiry_millis is not a time",
		fmt.Sprintf(`{"token":%q,"expiry_millis":9223372036854775807}`, secretText): "expiry_millis is not a time",
	} {
		_, err := readAdminToken(tokenFile(t, text, 0o600))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && (strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), secretText[6:])) {
			t.Errorf("%q is repeated: %v", text, err)
		}
	}
	if _, err := readAdminToken(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestAdminTokenFileMustBePrivate(t *testing.T) {
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o620, 0o601} {
		file := tokenFile(t, secretText, mode)
		if _, err := readAdminToken(file); err == nil || !strings.Contains(err.Error(), "chmod 600 "+file) {
			t.Errorf("%04o: %v", mode, err)
		}
	}
	for _, mode := range []os.FileMode{0o600, 0o400} {
		if _, err := readAdminToken(tokenFile(t, secretText, mode)); err != nil {
			t.Errorf("%04o: %v", mode, err)
		}
	}
}

func openEngine(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.Open(engine.Options{DataDir: t.TempDir(), PoolBytes: engine.MinPoolBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestAdminTokenOfTheFileIsTheFirstOnly(t *testing.T) {
	e := openEngine(t)
	now, expiry := time.Unix(1_800_000_000, 0), int64(1_900_000_000_000)
	if err := (adminToken{Token: secretText, Name: "boss", Expiry: &expiry}).install(e, now); err != nil {
		t.Fatal(err)
	}
	tokens := e.Tokens()
	if len(tokens) != 1 {
		t.Fatalf("%d tokens", len(tokens))
	}
	want := schema.Token{ID: tokens[0].ID, Name: "_admin", Hash: auth.Hash(secretText), Admin: true, Created: now.UnixNano(), Expiry: expiry * 1e6}
	if got := *tokens[0]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := (adminToken{Token: secretText + "2"}).install(e, now); err != nil {
		t.Fatal(err)
	}
	if got := e.Tokens(); len(got) != 1 || got[0].Hash != auth.Hash(secretText) {
		t.Errorf("a later file changed the operator's token: %+v", got)
	}
}

// TestOtherTokensDoNotStandInForTheOperators: a server that has some still takes the file's.
func TestOtherTokensDoNotStandInForTheOperators(t *testing.T) {
	e := openEngine(t)
	if _, err := e.CreateToken(schema.Token{Name: "sensors", Hash: auth.Hash("x")}); err != nil {
		t.Fatal(err)
	}
	if err := (adminToken{Token: secretText}).install(e, time.Now()); err != nil || len(e.Tokens()) != 2 {
		t.Errorf("%d tokens, %v", len(e.Tokens()), err)
	}
}

func TestExpiredAdminTokenIsNotInstalled(t *testing.T) {
	e := openEngine(t)
	millis := int64(1_800_000_000_000)
	err := adminToken{Token: secretText, Expiry: &millis}.install(e, time.UnixMilli(millis))
	if err == nil || !strings.Contains(err.Error(), "has expired") || len(e.Tokens()) != 0 {
		t.Errorf("%d tokens, %v", len(e.Tokens()), err)
	}
}

func TestWrittenAdminTokenCanBeReadByItsOwnerOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "admin.token")
	expiry := time.UnixMilli(1_900_000_000_123)
	if err := writeAdminToken(file, expiry); err != nil {
		t.Fatal(err)
	}
	got, err := readAdminToken(file)
	if err != nil || got.Name != "_admin" || got.Expiry == nil || *got.Expiry != expiry.UnixMilli() {
		t.Errorf("%v, %v", got.Expiry, err)
	}
	if err := writeAdminToken(file, time.Time{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file is overwritten: %v", err)
	}
	if again, err := readAdminToken(file); err != nil || again.Token != got.Token {
		t.Errorf("the token in the file changed, %v", err)
	}
}
