package engine

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// syntaxHint says how a line with such a fault is mended.
func syntaxHint(kind lineprotocol.Kind) string {
	switch kind {
	case lineprotocol.InvalidMeasurement:
		return "a line begins with its table's name: table,tag=value field=1.5 1700000000000000000"
	case lineprotocol.MalformedTags:
		return `write tags as ,key=value without blanks; put a backslash before a blank, comma or equals sign in them`
	case lineprotocol.DuplicateTag:
		return "leave one of them"
	case lineprotocol.NoFields:
		return "after table and tags comes one blank and at least one field=value"
	case lineprotocol.InvalidFieldKey, lineprotocol.MissingFieldValue:
		return "write fields as key=value, separated by commas without blanks"
	case lineprotocol.InvalidInteger, lineprotocol.InvalidUnsigned:
		return "an integer has digits and ends in i or u, and must fit 64 bits"
	case lineprotocol.InvalidFloat, lineprotocol.InvalidFieldValue:
		return `a string needs double quotes around it: field="text"`
	case lineprotocol.UnterminatedString:
		return `close the string; a double quote inside it is written \"`
	case lineprotocol.StringTooLong, lineprotocol.KeyTooLong:
		return "shorten it, or split it over several fields"
	case lineprotocol.InvalidTimestamp, lineprotocol.TimestampOutOfRange:
		return "check that the precision parameter is the unit of the time stamps"
	case lineprotocol.TrailingContent:
		return "a line ends with its time stamp, an integer; a blank in a name needs a backslash, a string needs double quotes"
	case lineprotocol.InvalidText:
		return "encode the text as UTF-8"
	}
	return ""
}

// typeFault says that a column has another type than the line gives it.
func (in *ingester) typeFault(t *ingestTable, s *slot, got schema.ColumnType) *fault {
	message := fmt.Sprintf("invalid column type for column '%s', expected %s, got %s", s.name, s.kind, got)
	return in.faultHere(message, in.typeHint(t, s, got))
}

// typeHint says since when the column has its type, and what to write instead.
func (in *ingester) typeHint(t *ingestTable, s *slot, got schema.ColumnType) string {
	what := "field"
	if s.kind == schema.Tag {
		what = "column"
	}
	have := fmt.Sprintf("%s %q of table %q is %s%s", what, shorten(s.name), shorten(t.name), a(s.kind), t.since(s))
	if got == schema.Tag {
		return fmt.Sprintf("%s; this line has it among the tags: move it to the fields, or give the tag another name", have)
	}
	if s.kind == schema.Tag {
		return fmt.Sprintf("%s; this line has it among the fields: move it to the tags, or give the field another name", have)
	}
	value := literal(got, &in.value)
	return fmt.Sprintf("%s; this line has the %s %s: %s", have, kindName(got), value, rewrite(s.kind, got, &in.value))
}

// kindName is a type as one speaks of it.
func kindName(t schema.ColumnType) string {
	switch t {
	case schema.Tag:
		return "tag"
	case schema.Float64:
		return "float"
	case schema.Int64:
		return "integer"
	case schema.Uint64:
		return "unsigned integer"
	case schema.String:
		return "string"
	}
	return "boolean"
}

// a is the name with its article.
func a(t schema.ColumnType) string {
	if t == schema.Int64 || t == schema.Uint64 {
		return "an " + kindName(t)
	}
	return "a " + kindName(t)
}

// since says when the column got its type, as far as that is known.
func (t *ingestTable) since(s *slot) string {
	if s.since > 0 {
		return fmt.Sprintf(" since line %d of this request", s.since)
	}
	if t.def == nil {
		return ""
	}
	c, ok := t.def.Column(s.name)
	if !ok || c.Created == 0 {
		return ""
	}
	return " since " + time.Unix(0, c.Created).UTC().Format("2006-01-02T15:04Z")
}

// maxLiteral bounds what a hint repeats of a name or string.
const maxLiteral = 64

// literal is the value as line protocol writes it.
func literal(t schema.ColumnType, v *lineprotocol.Value) string {
	switch t {
	case schema.Float64:
		return formatFloat(math.Float64frombits(v.Bits))
	case schema.Int64:
		return strconv.FormatInt(int64(v.Bits), 10) + "i"
	case schema.Uint64:
		return strconv.FormatUint(v.Bits, 10) + "u"
	case schema.Bool:
		return strconv.FormatBool(v.Bits != 0)
	}
	return strconv.Quote(shorten(v.Text))
}

// shorten cuts a text that is not worth repeating as a whole.
func shorten[T string | []byte](text T) string {
	if len(text) <= maxLiteral {
		return string(text)
	}
	return cut([]byte(text), maxLiteral) + "…"
}

// formatFloat always shows a point or an exponent, to tell it from an integer.
func formatFloat(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if strings.ContainsAny(s, ".eNI") {
		return s
	}
	return s + ".0"
}

// rewrite says how the value is written in the type that the column has.
func rewrite(want, got schema.ColumnType, v *lineprotocol.Value) string {
	other := "or write it to another field"
	if want == schema.String {
		return fmt.Sprintf("write %q", literal(got, v))
	}
	number, isNumber := numberOf(got, v)
	switch {
	case want == schema.Float64 && isNumber:
		return "write " + formatFloat(number)
	case want == schema.Int64 && isNumber && number == math.Trunc(number) && math.Abs(number) < 1<<53:
		return fmt.Sprintf("write %di", int64(number))
	case want == schema.Uint64 && isNumber && number == math.Trunc(number) && number >= 0 && number < 1<<53:
		return fmt.Sprintf("write %du", uint64(number))
	case want == schema.Bool:
		return "write true or false, " + other
	}
	return fmt.Sprintf("write %s, %s", a(want), other)
}

func numberOf(t schema.ColumnType, v *lineprotocol.Value) (float64, bool) {
	switch t {
	case schema.Float64:
		return math.Float64frombits(v.Bits), true
	case schema.Int64:
		return float64(int64(v.Bits)), true
	case schema.Uint64:
		return float64(v.Bits), true
	case schema.String: // a number in quotes
		f, err := strconv.ParseFloat(string(v.Text), 64)
		return f, err == nil
	}
	return 0, false
}

// expiredFault says that a point is older than its table keeps.
func (in *ingester) expiredFault(t *ingestTable, ns int64) *fault {
	at, owner := time.Unix(0, ns).UTC().Format(time.RFC3339), "database"
	if t.def != nil && t.def.Retention > 0 {
		owner = "table"
	}
	f := in.faultHere(
		fmt.Sprintf("timestamp %s is outside the retention period of %s", at, formatRetention(t.retention)),
		fmt.Sprintf("points before %s are not kept; lengthen the %s's retention period, or check the precision parameter",
			time.Unix(0, t.oldest).UTC().Format(time.RFC3339), owner),
	)
	f.expired = true
	return f
}

// formatRetention writes whole days and hours as one sets them.
func formatRetention(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return d.String()
}
