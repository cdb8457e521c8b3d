package auth

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

func basic(pair string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
}

func TestHeadersInEverySupportedForm(t *testing.T) {
	for value, want := range map[string]string{
		"Bearer apiv3_x":         "apiv3_x",
		"Token apiv3_x":          "apiv3_x",
		basic("me:apiv3_x"):      "apiv3_x",
		basic(":apiv3_x"):        "apiv3_x",
		basic("me:"):             "",
		"bearer apiv3_x":         "apiv3_x",
		"TOKEN apiv3_x":          "apiv3_x",
		"bAsIc bWU6YXBpdjNfeA==": "apiv3_x",
		"Basic bWU6YXBpdjNfeA":   "apiv3_x",
		"Bearer   apiv3_x":       "apiv3_x",
	} {
		got, err := ParseHeader(value)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
}

func TestMalformedHeaders(t *testing.T) {
	for _, value := range []string{
		"", " ", "Bearer", "Bearer ", "apiv3_x", "Digest apiv3_x", "Bearer apiv3_x more", "Bearer apiv3_x ",
		" Bearer apiv3_x", "Bearer\tapiv3_x", "Basic", "Basic !", "Basic me:apiv3_x",
		basic("apiv3_x"), basic("me:apiv3_x:more"), "Basic bWU6YXBpdjNfeA=", "Basic bWU6YXBpdjNfeB==", "Basic bWU6YXBpdjNfeB",
	} {
		if got, err := ParseHeader(value); !errors.Is(err, ErrMalformed) || got != "" {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
}

// FuzzParseHeader checks that whatever is accepted is the token of the header: put into
// a header of each scheme, it is read back.
func FuzzParseHeader(f *testing.F) {
	for _, seed := range []string{"", "Bearer x", "token  x", basic("u:x"), "Basic ====", "Bearer x y", "Basic Og=="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		token, err := ParseHeader(value)
		if err != nil {
			if token != "" || err.Error() != ErrMalformed.Error() {
				t.Fatalf("%q and %v", token, err)
			}
			return
		}
		if again, err := ParseHeader(basic("user:" + token)); !strings.Contains(token, ":") && (err != nil || again != token) {
			t.Errorf("%q became %q as Basic: %v", token, again, err)
		}
		if strings.Contains(token, " ") || token == "" {
			return // only Basic carries these
		}
		if again, err := ParseHeader("Bearer " + token); err != nil || again != token {
			t.Errorf("%q became %q as Bearer: %v", token, again, err)
		}
	})
}
