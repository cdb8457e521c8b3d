package ingestapi

import (
	"strings"
	"unicode"

	"github.com/siltstone-db/siltstone/schema"
)

// The names that have a meaning of their own.
const (
	userID          = "_user_id"
	eventID         = "_event_id"
	eventType       = "_event_type"
	eventDate       = "_event_date"
	eventParameters = "_event_parameters"
	dateUpdated     = "_date_updated"
	// received is the field that every event has, so that one without parameters is a
	// point too: when it arrived, in nanoseconds.
	received = "_received"
	// parameterPrefix makes a parameter's name that of a column.
	parameterPrefix = "p_"
	// wholeItem is where the problems stand that no single member of an item has.
	wholeItem = "_item"
)

// attribute describes a contact's attribute, to clients and to the check of its values.
type attribute struct {
	uid, label, description string
	dataType                string
	required                bool
	important               bool
	check                   func(string) problem // of a text; nil accepts any
}

// The data types of specs.
const (
	stringType  = "string"
	numberType  = "number"
	booleanType = "boolean"
	dateType    = "date"
)

// reserved lists the attributes whose names begin with an underscore. No others may: a
// misspelt one would be stored and never be used.
var reserved = []attribute{
	{uid: userID, label: "User ID", description: "Identifies the contact in its datasource", dataType: stringType, required: true, important: true},
	{uid: "_first_name", label: "First name", dataType: stringType},
	{uid: "_last_name", label: "Last name", dataType: stringType},
	{uid: "_email", label: "Email", description: "Email address", dataType: stringType, important: true, check: checkEmail},
	{uid: "_phone_mobile", label: "Mobile phone", description: "Number in E.164, as +34600000000", dataType: stringType, important: true, check: checkPhone},
	{uid: dateUpdated, label: "Updated", description: "When the contact changed last; the time of the request where it is not sent", dataType: dateType, check: checkDate},
}

// isReserved reports whether a name is one that only this package gives a meaning.
func isReserved(name string) bool { return strings.HasPrefix(name, "_") }

// reservedAttribute finds an attribute of the table.
func reservedAttribute(name string) (*attribute, bool) {
	for i := range reserved {
		if reserved[i].uid == name {
			return &reserved[i], true
		}
	}
	return nil, false
}

// checkAttributeName says whether a contact may have an attribute of that name.
func checkAttributeName(name string) problem {
	if p := checkName(name); p != "" {
		return p
	}
	if strings.EqualFold(name, schema.TimeColumn) {
		return "The name is reserved: it is the column with the time of the change"
	}
	if _, ok := reservedAttribute(name); isReserved(name) && !ok {
		return "Unknown attribute: names of custom attributes do not begin with an underscore"
	}
	return ""
}

// readAttribute reads a value of an attribute whose name is fine.
func readAttribute(name string, raw []byte) (value, problem) {
	a, ok := reservedAttribute(name)
	if ok && raw[0] != '"' {
		return value{}, "Should be a string"
	}
	v, p := readValue(raw, multivalue)
	if p == "" && ok && a.check != nil {
		p = a.check(v.text)
	}
	return v, p
}

// Bounds of RFC 5321.
const (
	maxEmailBytes = 254
	maxLocalBytes = 64
	maxLabelBytes = 63
)

// checkEmail accepts what can be the address of a mailbox: it catches what is no address
// at all, and leaves the rest to the mail server that knows.
func checkEmail(s string) problem {
	const invalid problem = "Invalid format"
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at > maxLocalBytes || len(s) > maxEmailBytes {
		return invalid
	}
	local, domain := s[:at], s[at+1:]
	if strings.ContainsFunc(s, isNoEmailRune) || strings.ContainsRune(local, '@') || hasLooseDot(local) {
		return invalid
	}
	labels := strings.Split(domain, ".")
	if len(labels) < 2 {
		return invalid
	}
	for _, label := range labels {
		if label == "" || len(label) > maxLabelBytes || label[0] == '-' || label[len(label)-1] == '-' {
			return invalid
		}
	}
	return ""
}

func isNoEmailRune(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`<>(),;:[]"\`, r)
}

// hasLooseDot reports whether a dot has no neighbour on a side.
func hasLooseDot(s string) bool {
	return s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..")
}

// Digits of an E.164 number. The standard sets the upper bound; no country code with a
// subscriber number has fewer than the lower.
const (
	minPhoneDigits = 7
	maxPhoneDigits = 15
)

func checkPhone(s string) problem {
	const invalid problem = "Invalid format: a number in E.164 is needed, as +34600000000"
	digits, ok := strings.CutPrefix(s, "+")
	if !ok || len(digits) < minPhoneDigits || len(digits) > maxPhoneDigits || digits[0] == '0' {
		return invalid
	}
	if strings.Trim(digits, "0123456789") != "" {
		return invalid
	}
	return ""
}

func checkDate(s string) problem {
	_, p := parseDate(s)
	return p
}
