package lineprotocol

import "strings"

// AppendKey writes a tag's key or value, or a field's key, with the escapes that it needs.
// What no escape helps is the caller's to keep out: a line break, and a backslash at the end.
func AppendKey(dst []byte, s string) []byte { return appendEscaped(dst, s, ", =") }

// AppendMeasurement writes the name of a measurement with the escapes that it needs. Besides
// what AppendKey cannot write, it cannot write one that begins with #: that is a comment.
func AppendMeasurement(dst []byte, s string) []byte { return appendEscaped(dst, s, ", ") }

// AppendString writes the value of a string field with its quotes.
func AppendString(dst []byte, s string) []byte {
	dst = appendEscaped(append(dst, '"'), s, `"\`)
	return append(dst, '"')
}

func appendEscaped(dst []byte, s, special string) []byte {
	for i := range len(s) {
		if strings.IndexByte(special, s[i]) >= 0 {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return dst
}
