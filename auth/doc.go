// Package auth knows tokens: how they are made and hashed, how a request presents one,
// and what its owner may do.
//
// It promises:
//
//	A1  A token exists in clear only in the return value of NewToken and in the
//	    request that presents it: an Index holds hashes, and no error or identity
//	    repeats a token or a part of one.
//	A2  Finding a token takes constant work, whatever its text and whatever the
//	    number of tokens; an expired token is refused like one that never was.
//	A3  A token may do what its permissions say and nothing else. An admin token may do
//	    everything.
//
// It is pure: no I/O, no clock, no goroutines. It leaves storing tokens to package
// catalog, and status codes to the dialects. Everything but NewToken's randomness is a
// function of its arguments, and all of it may be used concurrently.
package auth
