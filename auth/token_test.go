package auth

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

func TestTokensHaveCoresFormAndAreNeverTheSame(t *testing.T) {
	seen := make(map[string]bool)
	for range 100 {
		token, hash := NewToken()
		secret, ok := strings.CutPrefix(token, "apiv3_")
		if raw, err := base64.RawURLEncoding.DecodeString(secret); !ok || err != nil || len(raw) != 64 {
			t.Fatalf("%d random bytes, %v", len(raw), err)
		}
		if hash != Hash(token) {
			t.Fatal("the hash is another token's")
		}
		if seen[token] {
			t.Fatal("the token was made before")
		}
		seen[token] = true
	}
}

// TestHashesStayTheSame: a changed hash would lock everyone out.
func TestHashesStayTheSame(t *testing.T) {
	const want = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
		"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
	hash := Hash("abc")
	if got := hex.EncodeToString(hash[:]); got != want {
		t.Errorf("%s", got)
	}
}
