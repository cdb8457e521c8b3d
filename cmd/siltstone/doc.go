// Command siltstone is the database: one binary that serves, writes, queries,
// administers and shows itself off.
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
//	C5  serve answers nobody but its own machine anything but 503 before it knows its
//	    tokens, and ends if others can reach it and there is no admin's among them,
//	    unless it was told to ask for none.
//	C6  A token is printed by the command that made it, once, and by nothing else.
//
// The work is done by engine, query and httpapi; here are flags, signals, the
// listener and the words for people.
package main
