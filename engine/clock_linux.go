package engine

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot counts the time in which the machine sleeps, which the time package does not:
// else a notebook's clock would jump each morning.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return sinceStart() // Linux before 2.6.39
	}
	return time.Duration(t.Nano())
}
