package flight

import (
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/siltstone-db/siltstone/query"
)

// send writes rows to a stream as they come, in messages that every client takes.
func send(stream flight.DataStreamWriter, rows query.Rows) error {
	rows = query.ForArrow(rows)
	w := flight.NewRecordWriter(stream, ipc.WithSchema(rows.Schema()))
	for rows.Next() {
		if err := w.Write(rows.Record()); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return w.Close() // sends the schema if there was no row
}
