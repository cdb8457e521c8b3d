package tsbs

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Query is one instance of a shape.
type Query struct {
	SQL string
	// MinRows and MaxRows bound the rows of a right answer, as far as they follow from
	// the shape; they differ where a window may touch one bucket more, or where the
	// values decide.
	MinRows, MaxRows int
}

// Shape is a kind of query.
type Shape struct {
	Name string
	make func(*instance) Query
}

// Shapes are TSBS's for cpu-only, in DuckDB's SQL. The question of lastpoint is asked
// twice: as TSBS words it, and as the join that saves sorting the table.
var Shapes = []Shape{
	{"single-groupby-1-1-1", func(in *instance) Query { return in.maxPerMinute(1, 1, time.Hour) }},
	{"single-groupby-1-1-12", func(in *instance) Query { return in.maxPerMinute(1, 1, 12*time.Hour) }},
	{"single-groupby-5-8-1", func(in *instance) Query { return in.maxPerMinute(5, 8, time.Hour) }},
	{"cpu-max-all-8", (*instance).maxAllPerHour},
	{"double-groupby-1", func(in *instance) Query { return in.meanPerHostAndHour(1) }},
	{"double-groupby-all", func(in *instance) Query { return in.meanPerHostAndHour(len(Fields)) }},
	{"high-cpu-1", func(in *instance) Query { return in.highCPU(1) }},
	{"high-cpu-all", func(in *instance) Query { return in.highCPU(0) }},
	{"lastpoint", (*instance).lastPoint},
	{"lastpoint-join", (*instance).lastPointJoin},
	{"groupby-orderby-limit", (*instance).lastMinutes},
}

// Instances draws n queries of the shape over a data set, the same ones each time.
// The data must span more than twelve hours and have eight hosts at least.
func (s Shape) Instances(config Config, n int) ([]Query, error) {
	config.EnsureDefaults()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.Duration <= longestWindow || config.Hosts < mostHosts {
		return nil, fmt.Errorf("queries need more than %s of at least %d hosts, not %s of %d", longestWindow, mostHosts, config.Duration, config.Hosts)
	}
	in := &instance{config: config, rng: newRand(config.Seed, s.Name)}
	queries := make([]Query, n)
	for i := range queries {
		queries[i] = s.make(in)
	}
	return queries, nil
}

const (
	longestWindow = 12 * time.Hour
	mostHosts     = 8
	highUsage     = 90
)

// instance draws the parameters of queries.
type instance struct {
	config Config
	rng    *rand.Rand
}

// maxPerMinute is single-groupby: the maximum of some fields on some hosts, by minute.
func (in *instance) maxPerMinute(fields, hosts int, window time.Duration) Query {
	minutes := int(window / time.Minute)
	return Query{
		SQL: "SELECT date_trunc('minute', time) AS minute, " + aggregates("max", fields) + " FROM cpu WHERE " +
			in.hosts(hosts) + " AND " + in.window(window) + " GROUP BY minute ORDER BY minute",
		MinRows: minutes, MaxRows: minutes + 1,
	}
}

// maxAllPerHour is cpu-max-all: the maximum of each field on eight hosts, by hour.
func (in *instance) maxAllPerHour() Query {
	const hours = 8
	return Query{
		SQL: "SELECT date_trunc('hour', time) AS hour, " + aggregates("max", len(Fields)) + " FROM cpu WHERE " +
			in.hosts(mostHosts) + " AND " + in.window(hours*time.Hour) + " GROUP BY hour ORDER BY hour",
		MinRows: hours, MaxRows: hours + 1,
	}
}

// meanPerHostAndHour is double-groupby: the mean of some fields by host and hour.
func (in *instance) meanPerHostAndHour(fields int) Query {
	hours := int(longestWindow / time.Hour)
	return Query{
		SQL: "SELECT date_trunc('hour', time) AS hour, hostname, " + aggregates("avg", fields) + " FROM cpu WHERE " +
			in.window(longestWindow) + " GROUP BY hour, hostname ORDER BY hour, hostname",
		MinRows: hours * in.config.Hosts, MaxRows: (hours + 1) * in.config.Hosts,
	}
}

// highCPU returns whole rows above a threshold, of some hosts or, for 0, of all.
func (in *instance) highCPU(hosts int) Query {
	sql := fmt.Sprintf("SELECT * FROM cpu WHERE usage_user > %d AND ", highUsage)
	affected := in.config.Hosts
	if hosts > 0 {
		sql += in.hosts(hosts) + " AND "
		affected = hosts
	}
	return Query{SQL: sql + in.window(longestWindow), MaxRows: affected * int(longestWindow/in.config.Interval)}
}

// lastPoint returns the last row of each host.
func (in *instance) lastPoint() Query {
	return Query{
		SQL:     "SELECT DISTINCT ON (hostname) * FROM cpu ORDER BY hostname, time DESC",
		MinRows: in.config.Hosts, MaxRows: in.config.Hosts,
	}
}

// lastPointJoin is the same without a sort of the table.
func (in *instance) lastPointJoin() Query {
	return Query{
		SQL: "SELECT c.* FROM cpu c JOIN (SELECT hostname, max(time) AS time FROM cpu GROUP BY hostname) l " +
			"ON c.hostname = l.hostname AND c.time = l.time ORDER BY c.hostname",
		MinRows: in.config.Hosts, MaxRows: in.config.Hosts,
	}
}

// lastMinutes is groupby-orderby-limit: the last five minutes before a random time.
func (in *instance) lastMinutes() Query {
	const minutes = 5
	_, end := in.randomWindow(time.Hour)
	return Query{
		SQL: fmt.Sprintf("SELECT date_trunc('minute', time) AS minute, max(usage_user) FROM cpu WHERE time < %s "+
			"GROUP BY minute ORDER BY minute DESC LIMIT %d", literal(end), minutes),
		MinRows: minutes, MaxRows: minutes,
	}
}

// hosts is a condition for n different hosts.
func (in *instance) hosts(n int) string {
	names := make([]string, n)
	for i, h := range in.rng.Perm(in.config.Hosts)[:n] {
		names[i] = "'" + hostName(h) + "'"
	}
	return "hostname IN (" + strings.Join(names, ", ") + ")"
}

// window is a condition for a random window of the data.
func (in *instance) window(length time.Duration) string {
	begin, end := in.randomWindow(length)
	return "time >= " + literal(begin) + " AND time < " + literal(end)
}

func (in *instance) randomWindow(length time.Duration) (begin, end time.Time) {
	room := int64((in.config.Duration - length) / time.Second)
	begin = in.config.Start.Add(time.Duration(in.rng.Int64N(room)) * time.Second)
	return begin, begin.Add(length)
}

func literal(t time.Time) string { return "TIMESTAMP '" + t.UTC().Format(time.DateTime) + "'" }

// aggregates applies a function to the first n fields.
func aggregates(function string, n int) string {
	columns := make([]string, n)
	for i, f := range Fields[:n] {
		columns[i] = function + "(" + f + ") AS " + function + "_" + f
	}
	return strings.Join(columns, ", ")
}
