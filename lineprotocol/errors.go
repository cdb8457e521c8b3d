package lineprotocol

import "fmt"

// Kind says what is wrong with a line.
type Kind uint8

// The kinds of errors. Value is the offending text where the wording has a place for it.
const (
	InvalidMeasurement Kind = 1 + iota
	MalformedTags
	DuplicateTag
	NoFields
	InvalidFieldKey
	MissingFieldValue
	InvalidInteger
	InvalidUnsigned
	InvalidFloat
	InvalidFieldValue
	UnterminatedString
	StringTooLong
	InvalidTimestamp
	TimestampOutOfRange
	TrailingContent
	KeyTooLong
	InvalidText
)

// Error is a fault of one line.
type Error struct {
	Kind   Kind
	Value  string // offending text, cut at maxErrorValue bytes
	Line   int    // 1-based physical line of the body
	Column int    // 1-based byte within that line
}

// maxErrorValue bounds the text that an error repeats from its line.
const maxErrorValue = 128

// Error gives the message in InfluxDB 3's wording, without the place.
func (e *Error) Error() string { return e.message('`') }

// Plain is Error with straight single quotes around what it repeats of the line, as
// InfluxDB's cloud services word it.
func (e *Error) Plain() string { return e.message('\'') }

func (e *Error) message(quote byte) string {
	value := string(quote) + e.Value + string(quote)
	switch e.Kind {
	case InvalidMeasurement:
		return "Invalid measurement was provided"
	case MalformedTags:
		return fmt.Sprintf("Tag set malformed: expected tag key and value, got %s", value)
	case DuplicateTag:
		return fmt.Sprintf("invalid line protocol - multiple instances of '%s' tag found", e.Value)
	case NoFields:
		return "No fields were provided"
	case InvalidFieldKey:
		return fmt.Sprintf("Expected field key and value, got %s", value)
	case MissingFieldValue:
		return fmt.Sprintf("No value was provided for field '%s'", e.Value)
	case InvalidInteger:
		return fmt.Sprintf("Unable to parse integer value %s", value)
	case InvalidUnsigned:
		return fmt.Sprintf("Unable to parse unsigned integer value %s", value)
	case InvalidFloat:
		return fmt.Sprintf("Unable to parse floating-point value %s", value)
	case InvalidFieldValue:
		return fmt.Sprintf("Unable to parse field value %s: strings need double quotes, integers end in i or u, booleans are true or false", value)
	case UnterminatedString:
		return fmt.Sprintf("String of field '%s' has no closing double quote", e.Value)
	case StringTooLong:
		return "String is greater than 64KB"
	case InvalidTimestamp:
		return fmt.Sprintf("Unable to parse timestamp value %s", value)
	case TimestampOutOfRange:
		return fmt.Sprintf("timestamp, %s", e.Value)
	case TrailingContent:
		return fmt.Sprintf("Could not parse entire line. Found trailing content: %s", value)
	case KeyTooLong:
		return fmt.Sprintf("Measurement and tags, or a field key, are longer than %d bytes", MaxKeyBytes)
	case InvalidText:
		return "Names and strings must be valid UTF-8 without NUL characters"
	}
	return fmt.Sprintf("line protocol error %d", e.Kind)
}
