package auth

import (
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
)

const (
	// OperatorName is the name of the first admin token, as in InfluxDB 3. That token can
	// be replaced but not deleted, so that there is always one.
	OperatorName = "_admin"
	// TokenPrefix begins every token, so that scanners for leaked secrets find them. It
	// is InfluxDB 3's.
	TokenPrefix = "apiv3_"
	// secretBytes is the randomness in a token: nobody guesses one, and two are never
	// the same.
	secretBytes = 64
)

// NewToken makes a token and the hash to keep in its place (A1).
func NewToken() (token string, hash [sha512.Size]byte) {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails: it ends the process first
	token = TokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	return token, Hash(token)
}

// Hash returns what is kept of a token. A plain SHA-512 is enough: unlike a password,
// a token has more randomness than anyone could try out.
func Hash(token string) [sha512.Size]byte { return sha512.Sum512([]byte(token)) }
