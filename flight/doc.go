// Package flight serves queries over Arrow Flight and Flight SQL.
package flight

import (
	_ "github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	_ "google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip"
)
