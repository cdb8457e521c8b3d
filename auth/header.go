package auth

import (
	"encoding/base64"
	"errors"
	"strings"
)

// ErrMalformed is returned by ParseHeader; it never repeats what the header said (A1).
//
//lint:ignore ST1005 it is InfluxDB 3's text
var ErrMalformed = errors.New("Authorization header was malformed, the request was not in the form of " +
	"'Authorization: <auth-scheme> <token>', supported auth-schemes are Bearer, Token and Basic")

// ParseHeader returns the token of an Authorization header: `Bearer <token>`, `Token
// <token>`, or `Basic` with the base64 of `<user>:<token>`, of which the user is
// ignored. InfluxDB 3 wants schemes in exactly this spelling; here, as RFC 9110 section
// 11.1 says, they are known in any case. All else is ErrMalformed.
func ParseHeader(value string) (string, error) {
	scheme, credentials, _ := strings.Cut(value, " ")
	credentials = strings.TrimLeft(credentials, " ")
	if credentials == "" || strings.Contains(credentials, " ") {
		return "", ErrMalformed
	}
	switch strings.ToLower(scheme) {
	case "bearer", "token":
		return credentials, nil
	case "basic":
		return password(credentials)
	}
	return "", ErrMalformed
}

// password decodes the credentials of the scheme Basic. No token has a colon in it, so
// that a second one is a mistake. Arrow's Flight client for Go, and with it ADBC, leaves the
// padding out.
func password(credentials string) (string, error) {
	encoding := base64.StdEncoding
	if len(credentials)%4 != 0 {
		encoding = base64.RawStdEncoding
	}
	pair, err := encoding.Strict().DecodeString(credentials)
	if err != nil {
		return "", ErrMalformed
	}
	_, token, ok := strings.Cut(string(pair), ":")
	if !ok || strings.Contains(token, ":") {
		return "", ErrMalformed
	}
	return token, nil
}
