// Package lint holds the shape of this repository as tables and names whatever
// breaks it: which package may import which, which modules stay inside which
// package, and that every package says what it is.
//
// It promises:
//
//	L1  An import that the graph in graph.go does not allow is reported as the
//	    arrow "from → to", with the file that holds it.
//	L2  A package without a package comment is reported.
//	L3  A package that is not in the graph is reported: new ones are added on purpose.
//	L4  The environment and command-line flags are read below cmd nowhere.
//
// The check runs as a test of this package, so that `go test ./...` includes it.
// Files of nested modules and testdata are not looked at.
package lint
