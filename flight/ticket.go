package flight

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// Languages of a ticket's text.
const (
	languageSQL      = "sql"
	languageInfluxQL = "influxql"
)

// ticket is a query that is ready to run. Its JSON is what clients of InfluxDB 3 send to
// DoGet.
type ticket struct {
	Database string         `json:"database"`
	Text     string         `json:"sql_query"`
	Language string         `json:"query_type"`
	Params   map[string]any `json:"params,omitempty"`
}

// jsonTicket is what a client may write.
type jsonTicket struct {
	ticket
	Namespace  string `json:"namespace_name"`
	Bucket     string `json:"bucket"`
	BucketName string `json:"bucket-name"`
}

// isJSON tells a ticket of InfluxDB's clients from one of Flight SQL, a message of
// protobuf whose first byte is another.
func isJSON(raw []byte) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	return len(raw) > 0 && raw[0] == '{'
}

// parseTicket reads a JSON ticket. Its database may be missing.
func parseTicket(raw []byte) (*ticket, error) {
	var t jsonTicket
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&t); err != nil {
		return nil, invalid("invalid ticket: %v", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid("invalid ticket: there is something behind the JSON object")
	}
	for _, alias := range []string{t.Namespace, t.Bucket, t.BucketName} {
		if alias != "" && t.Database != "" && alias != t.Database {
			return nil, invalid("invalid ticket: it names two databases, %q and %q", t.Database, alias)
		}
		if t.Database == "" {
			t.Database = alias
		}
	}
	switch t.Language {
	case "":
		t.Language = languageSQL
	case languageSQL, languageInfluxQL:
	default:
		return nil, invalid("invalid ticket: query_type is %q; it can be %q or %q", t.Language, languageSQL, languageInfluxQL)
	}
	return &t.ticket, t.checkParams()
}

// checkParams makes the numbers of JSON what they are: integers stay integers.
func (t *ticket) checkParams() error {
	for name, v := range t.Params {
		switch v := v.(type) {
		case json.Number:
			n, err := number(v)
			if err != nil {
				return invalid("invalid parameter %s: %v", name, err)
			}
			t.Params[name] = n
		case map[string]any, []any:
			return invalid("invalid parameter %s: a string, number, boolean or null is needed", name)
		}
	}
	return nil
}

func number(v json.Number) (any, error) {
	if n, err := v.Int64(); err == nil {
		return n, nil
	}
	return v.Float64()
}
