// Package wal is a durable, ordered log of opaque records.
//
// It promises:
//
//	W1  Commit returns nil only after the record was written and synced, and after
//	    its callback ran. Callbacks run one at a time, in the order of the sequence.
//	W2  A failed write or sync poisons the log: that file is never synced again,
//	    nothing is acknowledged and no callback runs until the log is opened anew. Lack
//	    of space alone heals: the file is given up all the same, but Rearm goes on in a
//	    new one, and no record that was refused is ever yielded after it.
//	W3  Open yields every acknowledged record exactly once, in order and without
//	    gaps. A record that was never acknowledged may follow, but only whole, only
//	    in the order in which it was submitted, and only after Open made it durable.
//	W4  A record that an Open did not yield is never yielded by a later one: a
//	    recovery that is itself killed and repeated ends in the same state.
//	W5  Damage is told from a torn end: what may have been acknowledged and cannot be
//	    read is a *CorruptionError, and the Open that returns one changed no file.
//	W6  Whatever bytes a file holds, reading them neither panics nor allocates more
//	    than that file's size.
//	W7  A record that CommitAsync took has its place among all records from then on;
//	    W1 to W4 hold for it from its sync on. Until then a crash may lose it, with all
//	    records behind it. Barrier returns nil only after every record taken before it
//	    was applied.
//
// What it cannot know: of a log that was neither closed nor marked since, damage to the
// very last group of records looks like a write that power cut short. Mark, called when
// the log is idle, bounds that to what came after it; Options.DurableThrough closes the
// gap as far as the caller's own records reach.
//
// It leaves to its caller what a record means, the decision what may be trimmed, and
// the exclusion of other processes from the directory.
//
// All methods may be called concurrently, also while Close runs; a callback must not
// call Commit, CommitAsync, Barrier, Rearm or Close. It owns every file in its directory, whose
// bytes docs/format/wal.md describes: filenames.go names them, format.go encodes
// them, recover.go and tail.go judge them, commit.go writes them, rearm.go goes on
// after the disk was full.
package wal
