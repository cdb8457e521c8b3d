package transfer

import (
	"time"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// timeSlices cut a range of time into slices, whose length follows the number of their rows, so that
// neither a dense second nor a sparse decade makes a query too large or queries too many.
type timeSlices struct {
	times schema.TimeRange // what is left
	span  time.Duration    // of the next slice
	end   int64            // behind the current slice, 0 between two
	rows  int              // of the current slice
}

// The number of rows that slices are made for, and the length of the first.
const (
	fewRows   = 20_000
	manyRows  = 200_000
	firstSpan = 24 * time.Hour
	leastSpan = time.Second
	mostSpan  = 10 * 365 * 24 * time.Hour
)

// newTimeSlices cuts what of a range can be stored.
func newTimeSlices(times schema.TimeRange) timeSlices {
	return timeSlices{times: times.Intersect(schema.TimeRange{Min: lineprotocol.MinTime, Max: lineprotocol.MaxTime}), span: firstSpan}
}

// Left is what is left to read; its Min moves on with each slice that is done. Rows
// before it have been returned, and their chunk was asked for the next.
func (s *timeSlices) Left() schema.TimeRange { return s.times }

// next begins the next slice.
func (s *timeSlices) next() schema.TimeRange {
	last := s.times.Max
	if span := int64(s.span); last-s.times.Min >= span || last-s.times.Min < 0 { // the latter overflowed
		last = s.times.Min + span - 1
	}
	s.end, s.rows = last+1, 0
	return schema.TimeRange{Min: s.times.Min, Max: last}
}

// done moves on to the next slice, and over a gap to the first row that is left, of which edge
// returns the time.
func (s *timeSlices) done(edge func() (ns int64, found bool, err error)) error {
	s.times.Min = s.end
	s.end = 0
	switch {
	case s.rows < fewRows:
		s.span = min(2*s.span, mostSpan)
	case s.rows > manyRows:
		s.span = max(s.span/2, leastSpan)
	}
	if s.rows > 0 || s.times.IsEmpty() {
		return nil
	}
	ns, found, err := edge()
	if found {
		s.times.Min = ns
	} else {
		s.times.Max = s.times.Min - 1
	}
	return err
}
