// Command torture runs the long versions of the tests that try to break what Siltstone
// promises: crashes, failed I/O, damaged files, overload, hostile input, random
// histories and fuzzing. `make torture MINUTES=30` is how it is started.
//
// It promises:
//
//	T1  It runs each trial of trials.go in turn, each time with another seed, until the
//	    time is over; one that ran before is begun only if it is likely to end in time.
//	T2  A failure is printed with the command that repeats it, seed included, and the
//	    remaining trials go on. The exit status says whether there was one.
//	T3  The figures of its table are those that the tests counted, added up.
//
// The trials are tests of other packages, which anyone can run by themselves. A test says
// what it did in a line of its log, "figures: crashes=120 points=5310", and torture adds
// these up. It imports no other package of Siltstone.
package main
