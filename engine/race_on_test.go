//go:build race

package engine_test

// stride is how many operations apart the exhaustive tests look under the race
// detector, which makes them ten times slower; without it they look at each one.
const stride = 9
