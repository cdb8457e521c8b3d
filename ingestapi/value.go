package ingestapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/siltstone-db/siltstone/schema"
)

// value is what a field of a row holds. JSON gives it the types Float64, String and Bool;
// the integers occur where line protocol made the column.
type value struct {
	kind schema.ColumnType
	bits uint64 // the int64, the uint64, the IEEE 754 bits of the float64, or 0 and 1
	text string // of a String
}

func numberValue(f float64) value { return value{kind: schema.Float64, bits: math.Float64bits(f)} }
func intValue(n int64) value      { return value{kind: schema.Int64, bits: uint64(n)} }
func textValue(s string) value    { return value{kind: schema.String, text: s} }

func boolValue(b bool) value {
	v := value{kind: schema.Bool}
	if b {
		v.bits = 1
	}
	return v
}

// size is about what the value takes in a row.
func (v value) size() int { return 8 + len(v.text) }

// MarshalJSON writes the value as it was sent. A text that spells a multivalue is one.
func (v value) MarshalJSON() ([]byte, error) {
	switch v.kind {
	case schema.Float64:
		return json.Marshal(math.Float64frombits(v.bits))
	case schema.Int64:
		return strconv.AppendInt(nil, int64(v.bits), 10), nil
	case schema.Uint64:
		return strconv.AppendUint(nil, v.bits, 10), nil
	case schema.Bool:
		return strconv.AppendBool(nil, v.bits == 1), nil
	}
	if spellsMultivalue(v.text) {
		return []byte(v.text), nil
	}
	return marshalText(v.text)
}

// nesting says what a value may consist of besides text, number and boolean.
type nesting struct {
	depth   int // of arrays and objects
	objects bool
}

var (
	// An attribute may have several values.
	multivalue = nesting{depth: 1}
	// A parameter may be any JSON.
	anyJSON = nesting{depth: MaxDepth, objects: true}
)

// problem says what is wrong with a value, to whoever sent it; empty means nothing.
type problem string

// Problems that several checks find.
const (
	notText       problem = "Should be text: valid UTF-8 without NUL"
	inexactNumber problem = "Is an integer that a 64-bit floating-point number cannot hold exactly: send it as a string"
	hugeNumber    problem = "Is out of range for a 64-bit floating-point number"
)

// readValue makes a value of JSON other than null. Arrays and objects become their
// compact JSON text.
func readValue(raw []byte, allowed nesting) (value, problem) {
	switch raw[0] {
	case '"':
		s, p := readText(raw, MaxStringBytes)
		return textValue(s), p
	case 't', 'f':
		return boolValue(raw[0] == 't'), ""
	case '[', '{':
		s, p := readNested(raw, allowed)
		return textValue(s), p
	}
	f, p := readNumber(string(raw))
	return numberValue(f), p
}

func isNull(raw []byte) bool { return raw[0] == 'n' }

// readNumber refuses what float64 does not hold: a value out of range, and an integer that
// would come back with other digits, which is an identifier more often than a quantity.
func readNumber(literal string) (float64, problem) {
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return 0, hugeNumber
	}
	if !strings.ContainsAny(literal, ".eE") && !comesBack(f, literal) {
		return 0, inexactNumber
	}
	return f, ""
}

// comesBack reports whether an integer is either exactly f or what a program writes that
// has f and prints as few digits as tell it from other floats, as JavaScript does.
func comesBack(f float64, literal string) bool {
	return strconv.FormatFloat(f, 'f', 0, 64) == literal || strconv.FormatFloat(f, 'f', -1, 64) == literal
}

// readText takes the quotes off a JSON string of at most max bytes.
func readText(raw []byte, max int) (string, problem) {
	if !utf8.Valid(raw) || hasLoneSurrogate(raw) {
		return "", notText
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", notText
	}
	switch {
	case strings.IndexByte(s, 0) >= 0:
		return "", notText
	case len(s) > max:
		return "", problem(fmt.Sprintf("Should be at most %d bytes long, not %d", max, len(s)))
	}
	return s, ""
}

// hasLoneSurrogate finds an escape \uD800 to \uDFFF that is no half of a pair. It stands
// for no character, and encoding/json would replace it by another one.
func hasLoneSurrogate(raw []byte) bool {
	for i := bytes.IndexByte(raw, '\\'); i >= 0 && i+1 < len(raw); {
		width := 2
		if raw[i+1] == 'u' {
			width = 6
			switch unit := escapedUnit(raw[i:]); {
			case unit >= 0xDC00 && unit <= 0xDFFF:
				return true
			case unit >= 0xD800 && unit <= 0xDBFF:
				if low := escapedUnit(raw[min(i+6, len(raw)):]); low < 0xDC00 || low > 0xDFFF {
					return true
				}
				width = 12
			}
		}
		next := bytes.IndexByte(raw[min(i+width, len(raw)):], '\\')
		if next < 0 {
			return false
		}
		i += width + next
	}
	return false
}

// escapedUnit returns the UTF-16 unit of a \uXXXX at the beginning of b, or -1.
func escapedUnit(b []byte) int {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return int(n)
}

// readNested returns the compact text of an array or object.
func readNested(raw []byte, allowed nesting) (string, problem) {
	if p := checkNesting(raw, allowed); p != "" {
		return "", p
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil || !utf8.Valid(raw) {
		return "", notText
	}
	if b.Len() > MaxStringBytes {
		return "", problem(fmt.Sprintf("Should be at most %d bytes of JSON, not %d", MaxStringBytes, b.Len()))
	}
	return b.String(), ""
}

// checkNesting walks valid JSON.
func checkNesting(raw []byte, allowed nesting) problem {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	depth := 0
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return ""
		}
		if err != nil {
			return notText
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			if depth > allowed.depth || token == json.Delim('{') && !allowed.objects {
				return allowed.complain()
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

func (n nesting) complain() problem {
	if !n.objects {
		return "Should be a string, a number, a boolean, or an array of these"
	}
	return problem(fmt.Sprintf("Should be nested at most %d levels deep", n.depth))
}

// spellsMultivalue reports whether a text is what an array of values is stored as.
func spellsMultivalue(text string) bool {
	raw := []byte(text)
	if len(raw) == 0 || raw[0] != '[' || !json.Valid(raw) {
		return false
	}
	compact, p := readNested(raw, multivalue)
	return p == "" && compact == text
}

// marshalText writes a JSON string without escaping for HTML.
func marshalText(s string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("encode text: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
