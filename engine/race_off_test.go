//go:build !race

package engine_test

const defaultStride = 29
