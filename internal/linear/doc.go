// Package linear records what concurrent clients asked of a store and what they were
// answered, and decides whether that is linearizable: whether there is one order of all
// requests that respects who was answered before who asked, and in which each answer is
// what a store without concurrency gives.
//
// The store is a set of objects. A register has the value that was written last. A counter
// has the number and the sum of what was added. A request may touch many objects, but each
// of them is judged on its own, which is all that the store promises: a point is written
// whole or not at all, a request point by point.
//
// A write that was not acknowledged has an unknown outcome: it may take effect at any
// moment after it was sent, or never. Settle bounds that: once the store was opened again, or
// has recovered, what is not there will never be.
//
// It is for tests. A History may be used concurrently. The package owns no bytes but those
// of the picture that Check leaves where it finds a contradiction.
package linear
