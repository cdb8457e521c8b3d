package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// influxAnswer reads the answer of InfluxDB 1 to one statement: JSON documents that follow
// each other, of which each holds some rows.
type influxAnswer struct {
	body  io.ReadCloser
	lines *json.Decoder
}

// influxSeries are rows that have their tags in common. Values are kept as they are written,
// so that no digit is lost.
type influxSeries struct {
	Name    string              `json:"name"`
	Tags    map[string]string   `json:"tags"`
	Columns []string            `json:"columns"`
	Values  [][]json.RawMessage `json:"values"`
}

func newInfluxAnswer(body io.ReadCloser) *influxAnswer {
	return &influxAnswer{body, json.NewDecoder(body)}
}

// next returns the series of the next document, or io.EOF. What InfluxDB says instead of rows
// is an error.
func (a *influxAnswer) next() ([]influxSeries, error) {
	var document struct {
		Error   string `json:"error"`
		Results []struct {
			Series []influxSeries `json:"series"`
			Error  string         `json:"error"`
		} `json:"results"`
	}
	switch err := a.lines.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case err != nil:
		return nil, fmt.Errorf("the answer of InfluxDB ends early or is unreadable: %w", err)
	case document.Error != "":
		return nil, errors.New("InfluxDB: " + document.Error)
	case len(document.Results) != 1:
		return nil, errors.New("the answer is not one of InfluxDB 1")
	case document.Results[0].Error != "":
		return nil, errors.New("InfluxDB: " + document.Results[0].Error)
	}
	return document.Results[0].Series, nil
}

// texts returns the rows of a whole answer, each with the name of its series in front.
func (a *influxAnswer) texts() (rows [][]string, err error) {
	defer a.body.Close()
	for {
		all, err := a.next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			for _, values := range s.Values {
				row := []string{s.Name}
				for _, v := range values {
					text, err := influxText(v)
					if err != nil {
						return nil, err
					}
					row = append(row, text)
				}
				rows = append(rows, row)
			}
		}
	}
}

func influxText(v json.RawMessage) (string, error) {
	if !bytes.HasPrefix(v, []byte{'"'}) {
		return string(v), nil
	}
	var text string
	err := json.Unmarshal(v, &text)
	return text, err
}
