//go:build !linux

package engine

import "time"

// sinceBoot takes a machine's sleep for a jump of its clock: what is deleted is deleted late.
func sinceBoot() time.Duration { return sinceStart() }
