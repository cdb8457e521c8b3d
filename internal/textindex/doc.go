// Package textindex finds texts among many: series by their keys, values of tags by their bytes.
//
// A Go map of a million strings keeps two words a string that the garbage collector follows,
// hashes all strings again each time that it grows, and touches memory all over for a look-up. Here
// a text is a number. An [Index] has eight bytes for it, half of them of the text's hash, so that
// growing reads no text; a look-up that finds nothing mostly reads one line of memory.
// [Texts] puts the bytes side by side.
//
// The hash has a seed of the process: who chooses the texts cannot make them collide.
//
// Nothing here is safe for concurrent use.
package textindex
