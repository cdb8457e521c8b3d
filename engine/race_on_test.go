//go:build race

package engine_test

// defaultStride is larger under the race detector, which makes everything ten times
// slower.
const defaultStride = 61
