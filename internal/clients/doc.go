// Package clients tests the finished binary through the programs that people write to it
// with and read from it with: it builds siltstone, starts it on loopback, lets real clients
// write and read, and looks at what their users would see.
//
// It shows:
//
//	K1  What a client's own point API writes is there afterwards: every value, of the
//	    type that was meant, at the time that was meant, in every precision of the
//	    client, compressed or not, whatever characters names and values have.
//	K2  Whatever the server refuses, the user of each client learns: the client raises
//	    its own error of the right kind, with status, reason and line, and with the time
//	    to wait where there is one. testdata/seen has the very texts.
//	K3  A refusal costs nothing that was accepted: the good lines of a request are there.
//	K4  Agents go on: Telegraf delivers everything through each of its three outputs,
//	    drops what is refused for good, and repeats what is refused for now.
//	K5  What was written is what clients read, in SQL, InfluxQL and Flight SQL: every value,
//	    of its type, with every nanosecond that the client can show. testdata/seen has
//	    what each shows.
//	K6  What cannot be read, and why, is told by the client's own error.
//	K7  Programs for InfluxDB 1 read from /query unchanged: two libraries, its shell, and
//	    the requests that Grafana is known to send.
//	K8  The programs of docs/querying.md print what it says.
//
// The package is a module of its own, so that the clients' dependencies stay out of the
// product's go.mod. It knows the product by its binary only. README.md says which clients
// there are, what they need, and how to run them.
package clients
