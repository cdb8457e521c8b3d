// Package flight answers queries over Arrow Flight and Flight SQL, as clients of InfluxDB 3,
// ADBC, JDBC and Grafana ask them.
//
// It promises:
//
//	F1  A result goes to the wire as the Arrow records that the query engine made, in
//	    messages that every client takes, while it is computed: a result of any size needs
//	    constant memory here.
//	F2  A call that ends, for whatever reason, ends its query.
//	F3  Nothing is read of a database that the caller may not read. What a ticket or a
//	    handle says is checked again each time it is used.
//	F4  Tickets and handles of prepared statements hold all that they mean, so that they
//	    do not expire, survive a restart, and cannot fill the memory. Only for clients that
//	    keep a handle without values are the values remembered, within a bound (bindings.go).
//	F5  A call that changes something is answered Unimplemented.
//
// It leaves to package query what SQL and InfluxQL mean, and to its caller the port,
// TLS, and who sent a call: the context of each call has the auth.Identity.
//
// A Server may be used concurrently. The package owns no bytes on disk.
//
// # Reading order
//
//  1. server.go: what a call passes on its way, and call.go.
//  2. doget.go: a ticket becomes rows, and stream.go sends them.
//  3. statement.go, prepared.go: Flight SQL's way to a ticket.
//  4. metadata.go, tables.go, sqlinfo.go, types.go: what the server tells about itself.
//
// # What is left out
//
// gRPC-Web, as browsers would need it: pages use the HTTP API. ReadInfo tickets, which only
// clients inside InfluxDB send. DoExchange, ListFlights and PollFlightInfo, which InfluxDB 3
// does not have either.
package flight
