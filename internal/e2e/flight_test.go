//go:build duckdb_arrow

package e2e

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// flight runs a query by the ticket that InfluxDB 3's clients send, and returns its rows as
// text; null is "-".
func (s *server) flight(db, queryType, text string) [][]string {
	s.site.t.Helper()
	rows, err := s.askFlight(db, queryType, text)
	if err != nil {
		s.site.t.Fatalf("%s: %v", text, err)
	}
	return rows
}

func (s *server) askFlight(db, queryType, text string) ([][]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := flight.NewClientWithMiddleware(strings.TrimPrefix(s.url, "http://"), nil, nil,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ticket, err := json.Marshal(map[string]string{"database": db, "sql_query": text, "query_type": queryType})
	if err != nil {
		return nil, err
	}
	stream, err := client.DoGet(ctx, &flight.Ticket{Ticket: ticket})
	if err != nil {
		return nil, err
	}
	reader, err := flight.NewRecordReader(stream)
	if err != nil {
		return nil, err
	}
	defer reader.Release()
	var rows [][]string
	for reader.Next() {
		batch := reader.RecordBatch()
		for i := range int(batch.NumRows()) {
			row := make([]string, batch.NumCols())
			for k, column := range batch.Columns() {
				row[k] = cellText(column, i)
			}
			rows = append(rows, row)
		}
	}
	return rows, reader.Err()
}

func cellText(column arrow.Array, row int) string {
	if column.IsNull(row) {
		return "-"
	}
	return column.ValueStr(row)
}
