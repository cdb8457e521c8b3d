// Command siltstone is the database: one binary that serves, writes, queries and
// shows itself off.
//
// It promises:
//
//	C1  Nothing below this package reads flags or the environment. Every flag can
//	    come from SILTSTONE_<NAME>, else from InfluxDB 3's variable of that meaning.
//	C2  serve listens before it recovers, so that probes get an answer; it stops
//	    within stopTimeout, and a second signal ends it at once. Neither can lose an
//	    acknowledged write, which is in the log.
//	C3  write sends whole lines in the order of its input, one request at a time, and
//	    reports rejected lines by their number in the file.
//	C4  A command that could not do all it was asked exits with a status other than 0.
//
// The work is done by engine, query and httpapi; here are flags, signals, the
// listener and the words for people.
package main
