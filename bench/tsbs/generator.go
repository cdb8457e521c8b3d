package tsbs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// Config says which data to make. Zero values mean the default.
type Config struct {
	// Hosts is the number of series; 0 is 100.
	Hosts int
	// Duration is the time that the data span; 0 is one hour.
	Duration time.Duration
	// Interval is the time between two points of a host; 0 is DefaultInterval.
	Interval time.Duration
	// Start is the time of the first points; zero is 2016-01-01 UTC, as in TSBS.
	Start time.Time
	// Seed selects the random numbers; 0 is 123.
	Seed uint64
}

// DefaultInterval is TSBS's.
const DefaultInterval = 10 * time.Second

// EnsureDefaults replaces zero values.
func (c *Config) EnsureDefaults() {
	if c.Hosts == 0 {
		c.Hosts = 100
	}
	if c.Duration == 0 {
		c.Duration = time.Hour
	}
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Start.IsZero() {
		c.Start = time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if c.Seed == 0 {
		c.Seed = 123
	}
}

// Validate reports every fault at once. It expects EnsureDefaults to have run.
func (c *Config) Validate() error {
	var faults []error
	if c.Hosts < 0 {
		faults = append(faults, fmt.Errorf("%d hosts", c.Hosts))
	}
	if c.Interval < 0 {
		faults = append(faults, fmt.Errorf("an interval of %s", c.Interval))
	} else if c.Duration < c.Interval {
		faults = append(faults, fmt.Errorf("a duration of %s, less than the interval of %s", c.Duration, c.Interval))
	}
	if len(faults) > 0 {
		return fmt.Errorf("tsbs config: %w", errors.Join(faults...))
	}
	return nil
}

// Rows is the number of lines of the whole data set.
func (c *Config) Rows() int { return c.Hosts * int(c.Duration/c.Interval) }

// End is the time after the last point.
func (c *Config) End() time.Time { return c.Start.Add(c.Duration) }

// Generator makes the lines of a data set one after the other: all hosts at one time,
// then all at the next.
type Generator struct {
	config Config
	rng    *rand.Rand
	hosts  []host
	next   int // the host of the next line
	left   int // lines still to come
	time   int64
}

// host is one series: its text up to the space, and where its values are.
type host struct {
	series []byte
	values [len(Fields)]float64
}

// NewGenerator returns a Generator at the first line.
func NewGenerator(config Config) (*Generator, error) {
	config.EnsureDefaults()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	g := &Generator{config: config, rng: newRand(config.Seed, "lines"), left: config.Rows(), time: config.Start.UnixNano()}
	g.hosts = make([]host, config.Hosts)
	for i := range g.hosts {
		g.hosts[i].series = appendSeries(nil, g.rng, i)
		for f := range g.hosts[i].values {
			g.hosts[i].values[f] = g.rng.Float64() * maxValue
		}
	}
	return g, nil
}

// newRand returns random numbers for one purpose, so that what one consumer draws
// does not shift those of another.
func newRand(seed uint64, purpose string) *rand.Rand {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	copy(key[8:], purpose)
	return rand.New(rand.NewChaCha8(key))
}

// AppendLine appends the next line with its newline; ok is false after the last one.
func (g *Generator) AppendLine(dst []byte) (line []byte, ok bool) {
	if g.left == 0 {
		return dst, false
	}
	h := &g.hosts[g.next]
	dst = append(dst, h.series...)
	for f, name := range Fields {
		sep := byte(',')
		if f == 0 {
			sep = ' '
		}
		dst = append(dst, sep)
		dst = append(dst, name...)
		dst = append(dst, '=')
		dst = strconv.AppendInt(dst, int64(h.values[f]), 10)
		dst = append(dst, 'i')
		h.values[f] = min(max(h.values[f]+g.rng.NormFloat64(), 0), maxValue)
	}
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, g.time, 10)
	dst = append(dst, '\n')
	g.advance()
	return dst, true
}

func (g *Generator) advance() {
	g.left--
	g.next++
	if g.next == len(g.hosts) {
		g.next = 0
		g.time += int64(g.config.Interval)
	}
}

// Body is a piece of a data set that is sent at once.
type Body struct {
	Text []byte
	Rows int
}

// Bodies returns the rest of the lines, at most perBody of them a body.
func (g *Generator) Bodies(perBody int) []Body {
	var bodies []Body
	for g.left > 0 {
		rows := min(perBody, g.left)
		b := Body{Text: make([]byte, 0, rows*maxLineBytes), Rows: rows}
		for range rows {
			b.Text, _ = g.AppendLine(b.Text)
		}
		bodies = append(bodies, b)
	}
	return bodies
}

// maxLineBytes is room for a line of up to a million hosts.
const maxLineBytes = 368
