package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/auth"
	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// adminToken is the content of an --admin-token-file in InfluxDB 3's form.
type adminToken struct {
	Token  string `json:"token"`
	Name   string `json:"name,omitempty"`          // the operator's, whatever it says
	Expiry *int64 `json:"expiry_millis,omitempty"` // milliseconds since the epoch; null is never
}

const (
	// maxAdminTokenFile is far beyond what a token file holds.
	maxAdminTokenFile = 64 << 10
	// minTokenBytes refuses what somebody could guess. Tokens that are made here and
	// in InfluxDB have 92 bytes and more.
	minTokenBytes = 40
)

// readAdminToken reads a file that nobody but its owner may read: the token itself, or
// InfluxDB 3's JSON.
func readAdminToken(file string) (adminToken, error) {
	f, err := os.Open(file)
	if err != nil {
		return adminToken{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return adminToken{}, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return adminToken{}, fmt.Errorf("%s can be read or changed by others (its mode is %04o); make it yours alone: chmod 600 %[1]s", file, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxAdminTokenFile))
	if err != nil {
		return adminToken{}, err
	}
	t, err := parseAdminToken(string(text))
	if err != nil {
		return adminToken{}, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// parseAdminToken never repeats what it reads in an error.
func parseAdminToken(text string) (adminToken, error) {
	text = strings.TrimSpace(text)
	t := adminToken{Token: text}
	if strings.HasPrefix(text, "{") {
		t = adminToken{}
		if json.Unmarshal([]byte(text), &t) != nil {
			return adminToken{}, errors.New(`not JSON such as {"token": "apiv3_…", "name": "_admin", "expiry_millis": null}`)
		}
	}
	if !isToken(t.Token) {
		return adminToken{}, fmt.Errorf("holds no token: that is %s and at least %d letters, digits, - and _; "+
			"siltstone create token --admin --output-file FILE makes such a file", auth.TokenPrefix, minTokenBytes-len(auth.TokenPrefix))
	}
	if t.Expiry != nil && (*t.Expiry <= 0 || *t.Expiry > math.MaxInt64/int64(time.Millisecond)) {
		return adminToken{}, errors.New("expiry_millis is not a time in milliseconds since 1970")
	}
	return t, nil
}

// isToken reports whether a text can be sent as a token and is long enough.
func isToken(text string) bool {
	secret, ok := strings.CutPrefix(text, auth.TokenPrefix)
	return ok && len(text) >= minTokenBytes && strings.Trim(secret, tokenAlphabet) == ""
}

// tokenAlphabet are the characters of base64, in both its forms.
const tokenAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/="

// install makes t the operator's token unless the operator has one already: a file that
// was left behind must not bring back a token that was replaced.
func (t adminToken) install(e *engine.Engine, now time.Time) error {
	for _, existing := range e.Tokens() {
		if existing.Name == auth.OperatorName {
			return nil
		}
	}
	token := schema.Token{Name: auth.OperatorName, Hash: auth.Hash(t.Token), Admin: true, Created: schema.Nanoseconds(now)}
	if t.Expiry != nil {
		token.Expiry = *t.Expiry * int64(time.Millisecond)
		if token.Expiry <= schema.Nanoseconds(now) {
			return errors.New("the token of --admin-token-file has expired; make another: siltstone create token --admin --output-file FILE")
		}
	}
	_, err := e.CreateToken(token)
	return err
}

// writeAdminToken makes a token and a file for --admin-token-file that holds it.
func writeAdminToken(file string, expiry time.Time) (err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	t := adminToken{Name: auth.OperatorName}
	t.Token, _ = auth.NewToken()
	if !expiry.IsZero() {
		millis := expiry.UnixMilli()
		t.Expiry = &millis
	}
	if err := json.NewEncoder(f).Encode(t); err != nil {
		return err
	}
	return f.Sync()
}
