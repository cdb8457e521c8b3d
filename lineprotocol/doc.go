// Package lineprotocol reads InfluxDB line protocol: bytes in, typed points and
// line-precise errors out.
//
//	measurement[,tag=value…] field=value[,field=value…] [timestamp]
//
// It promises:
//
//	L1  Reading allocates nothing as long as nothing is wrong. (To find duplicates
//	    among more than 32 tags, ParseSeries needs a set.)
//	L2  Every error names the physical line and the byte column of the body, and
//	    reading goes on with the next line: one bad line costs no other.
//	L3  No input makes it panic, hang or read outside the body.
//	L4  What it returns aliases the body (or a buffer of the reader, where escapes
//	    had to be resolved) and is valid until the next call.
//
// A caller pulls a line apart in order: Next, Series, then Key and Value for each
// field as long as More says so, then Time. A line's series text (measurement and
// tags) is handed out unparsed, because on real streams it has been seen before: the
// caller looks it up and calls ParseSeries only on a miss. SkipKey does the same for
// field keys that come in the order of the line before.
//
// It leaves types to the caller: whether a column is an integer everywhere is the
// catalog's business. A Reader is not safe for concurrent use.
//
// Syntax: InfluxDB's line protocol reference; the wording of errors is that of
// InfluxDB 3, which clients show to their users. Where InfluxDB's own readers differ,
// docs/line-protocol.md says what this one does, and why.
package lineprotocol
