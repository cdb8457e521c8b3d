package flight

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/siltstone-db/siltstone/query"
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
	if err := query.BindJSON(t.Params); err != nil {
		return nil, invalid("invalid parameter %v", err)
	}
	return &t.ticket, nil
}
