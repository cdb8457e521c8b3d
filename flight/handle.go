package flight

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// handle is a statement of Flight SQL, with the values that were bound to its parameters.
// Its JSON is in tickets and in handles of prepared statements, which clients do not look
// into; one that a client made up can do no more than any other query of that client (F3, F4).
type handle struct {
	Database string `json:"database"`
	SQL      string `json:"sql"`
	// Params are the parameters of a prepared statement, in the order that the client
	// was told of.
	Params []string `json:"params,omitempty"`
	Bound  []value  `json:"bound,omitempty"`
	// ID tells prepared statements with parameters apart; see bindings.
	ID string `json:"id,omitempty"`
}

// value is the value of a parameter. JSON alone would make 1.0 an integer.
type value struct {
	Name string    `json:"name"`
	Kind valueKind `json:"kind"`
	Text string    `json:"text,omitempty"`
}

type valueKind string

const (
	nullValue   valueKind = "null"
	boolValue   valueKind = "bool"
	intValue    valueKind = "int"
	uintValue   valueKind = "uint"
	floatValue  valueKind = "float"
	stringValue valueKind = "string"
	timeValue   valueKind = "time" // nanoseconds since the Unix epoch
)

func (h *handle) encode() ([]byte, error) { return json.Marshal(h) }

func decodeHandle(raw []byte) (*handle, error) {
	var h handle
	if err := json.Unmarshal(raw, &h); err != nil || h.Database == "" {
		return nil, invalid("the handle of the statement is not one of this server")
	}
	return &h, nil
}

// ticket returns the query that the handle stands for.
func (h *handle) ticket() (*ticket, error) {
	t := &ticket{Database: h.Database, Text: h.SQL, Language: languageSQL}
	for _, v := range h.Bound {
		decoded, err := v.decode()
		if err != nil {
			return nil, invalid("the handle of the statement is not one of this server: parameter $%s: %v", v.Name, err)
		}
		if t.Params == nil {
			t.Params = make(map[string]any, len(h.Bound))
		}
		t.Params[v.Name] = decoded
	}
	return t, nil
}

// newValue writes a value of a parameter down: nil, bool, int64, uint64, float64, string or
// time.Time.
func newValue(name string, v any) (value, error) {
	switch v := v.(type) {
	case nil:
		return value{name, nullValue, ""}, nil
	case bool:
		return value{name, boolValue, strconv.FormatBool(v)}, nil
	case int64:
		return value{name, intValue, strconv.FormatInt(v, 10)}, nil
	case uint64:
		return value{name, uintValue, strconv.FormatUint(v, 10)}, nil
	case float64:
		return value{name, floatValue, strconv.FormatFloat(v, 'g', -1, 64)}, nil
	case string:
		return value{name, stringValue, v}, nil
	case time.Time:
		return value{name, timeValue, strconv.FormatInt(v.UnixNano(), 10)}, nil
	}
	return value{}, fmt.Errorf("a %T is no value of a parameter", v)
}

func (v *value) decode() (any, error) {
	switch v.Kind {
	case nullValue:
		return nil, nil
	case boolValue:
		return strconv.ParseBool(v.Text)
	case intValue:
		return strconv.ParseInt(v.Text, 10, 64)
	case uintValue:
		return strconv.ParseUint(v.Text, 10, 64)
	case floatValue:
		f, err := strconv.ParseFloat(v.Text, 64)
		if err == nil && math.IsInf(f, 0) {
			return nil, fmt.Errorf("%s is out of range", v.Text)
		}
		return f, err
	case stringValue:
		return v.Text, nil
	case timeValue:
		ns, err := strconv.ParseInt(v.Text, 10, 64)
		return time.Unix(0, ns), err
	}
	return nil, fmt.Errorf("kind %q", v.Kind)
}
