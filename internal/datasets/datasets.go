package datasets

import (
	"embed"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

//go:embed data/*.lp.gz
var files embed.FS

// Set is one bundled data set.
type Set struct {
	Name  string // as a user would ask for it
	About string // one line for people
	// Precision is the unit of the time stamps, as the HTTP API spells it.
	Precision string
	// Lines is the number of physical lines, blank ones included, and Points that of
	// points; no two points of a set have the same table, tags and time.
	Lines, Points int
	Tables        []string
	// Source says where the data come from and on which terms.
	Source string

	file string
}

const (
	influxSamples = "InfluxData documentation samples, MIT licence"
	tsbsGenerated = "generated with timescale/tsbs, seed 123"
)

// The sets, real measurements first.
var (
	Wind = Set{
		Name: "wind", About: "hourly wind in European cities",
		Precision: "second", Lines: 3096, Points: 3096, Tables: []string{"wind_data"},
		Source: influxSamples, file: "eu-wind-data.lp.gz",
	}
	Weather = Set{
		Name: "weather", About: "daily weather of three Bay Area towns",
		Precision: "nanosecond", Lines: 3289, Points: 3288, Tables: []string{"weather"},
		Source: influxSamples, file: "bay-area-weather.lp.gz",
	}
	Bitcoin = Set{
		Name: "bitcoin", About: "bitcoin price in three currencies",
		Precision: "nanosecond", Lines: 3750, Points: 3750, Tables: []string{"bitcoin"},
		Source: influxSamples, file: "bitcoin.lp.gz",
	}
	CPU = Set{
		Name: "tsbs-cpu", About: "CPU usage of 100 hosts for an hour",
		Precision: "nanosecond", Lines: 36000, Points: 36000, Tables: []string{"cpu"},
		Source: tsbsGenerated, file: "tsbs-cpu-100hosts-1h.lp.gz",
	}
	DevOps = Set{
		Name: "tsbs-devops", About: "nine kinds of measurement on 100 hosts",
		Precision: "nanosecond", Lines: 60000, Points: 60000,
		Tables: []string{"cpu", "disk", "diskio", "kernel", "mem", "net", "nginx", "postgresl", "redis"},
		Source: tsbsGenerated, file: "tsbs-devops-sample.lp.gz",
	}
)

// All returns every set.
func All() []Set { return []Set{Wind, Weather, Bitcoin, CPU, DevOps} }

// Open opens the set's line protocol, decompressed.
func (s Set) Open() (io.ReadCloser, error) {
	f, err := files.Open("data/" + s.file)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", s.Name, err)
	}
	zr, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", s.Name, err)
	}
	return zr, nil
}

// Bytes returns the set's whole line protocol.
func (s Set) Bytes() ([]byte, error) {
	r, err := s.Open()
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", s.Name, err)
	}
	return body, r.Close()
}
