package clients

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/InfluxCommunity/influxdb3-go/v2/influxdb3"
)

// askGo asks with influxdb3-go.
func askGo(t *testing.T, q question) reading {
	t.Helper()
	client, err := influxdb3.New(influxdb3.ClientConfig{Host: q.URL, Token: q.Token, Database: q.Database})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got reading
	if q.Mode == "points" {
		got, err = goPointValues(ctx, client, q)
	} else {
		got, err = goRows(ctx, client, q)
	}
	if err != nil {
		return reading{Type: fmt.Sprintf("%T", err), Text: err.Error()}
	}
	got.OK = true
	return got
}

func queryTypeOf(q question) influxdb3.QueryOption {
	if q.Language == "influxql" {
		return influxdb3.WithQueryType(influxdb3.InfluxQL)
	}
	return influxdb3.WithQueryType(influxdb3.SQL)
}

// goRows reads rows as maps; the schema tells the columns.
func goRows(ctx context.Context, client *influxdb3.Client, q question) (reading, error) {
	rows, err := client.QueryWithParameters(ctx, q.Query, q.Params, queryTypeOf(q))
	if err != nil {
		return reading{}, err
	}
	var got reading
	fields := rows.Raw().Schema().Fields()
	for _, f := range fields {
		null := ""
		if !f.Nullable {
			null = " not null"
		}
		got.Columns = append(got.Columns, fmt.Sprintf("%s: %s%s", f.Name, f.Type, null))
	}
	for rows.Next() {
		value := rows.Value()
		var row []string
		for _, f := range fields {
			row = append(row, goText(value[f.Name]))
		}
		got.Rows = append(got.Rows, row)
	}
	return got, rows.Err()
}

// goPointValues reads points. A row shows what they have, for there is no header.
func goPointValues(ctx context.Context, client *influxdb3.Client, q question) (reading, error) {
	points, err := client.QueryPointValueWithParameters(ctx, q.Query, q.Params, queryTypeOf(q))
	if err != nil {
		return reading{}, err
	}
	got := reading{Columns: []string{"measurement", "tags", "fields", "time"}}
	for {
		p, err := points.Next()
		if errors.Is(err, influxdb3.Done) {
			return got, nil
		}
		if err != nil {
			return reading{}, err
		}
		row := []string{p.MeasurementName, "", "", goText(p.Timestamp)}
		for _, name := range slices.Sorted(maps.Keys(p.Tags)) {
			row[1] += fmt.Sprintf("%s=%s ", name, p.Tags[name])
		}
		for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
			row[2] += fmt.Sprintf("%s=%s ", name, goText(p.Fields[name]))
		}
		got.Rows = append(got.Rows, row)
	}
}

// goText shows a value with its type where Go would not.
func goText(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		return fmt.Sprintf("%q", value)
	case time.Time:
		return value.UTC().Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("%T %v", value, value)
}
