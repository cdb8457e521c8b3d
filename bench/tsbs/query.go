package tsbs

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Query is one instance of a shape.
type Query struct {
	SQL string // DuckDB's, which is ours
	// The same question to other databases; empty where there is no other way to ask it.
	QuestDB, InfluxQL, ClickHouse string
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
	q := in.buckets("minute", "1m", "max", fields, in.hosts(hosts).during(in.randomWindow(window)))
	q.MinRows, q.MaxRows = minutes, minutes+1
	return q
}

// maxAllPerHour is cpu-max-all: the maximum of each field on eight hosts, by hour.
func (in *instance) maxAllPerHour() Query {
	const hours = 8
	q := in.buckets("hour", "1h", "max", len(Fields), in.hosts(mostHosts).during(in.randomWindow(hours*time.Hour)))
	q.MinRows, q.MaxRows = hours, hours+1
	return q
}

// buckets aggregates fields by time.
func (in *instance) buckets(unit, short, function string, fields int, f filter) Query {
	columns := aggregates(function, fields)
	return Query{
		SQL: "SELECT date_trunc('" + unit + "', time) AS " + unit + ", " + columns + " FROM cpu WHERE " + f.sql() +
			" GROUP BY " + unit + " ORDER BY " + unit,
		QuestDB:  "SELECT timestamp, " + columns + " FROM cpu WHERE " + f.questDB() + " SAMPLE BY " + short + " ALIGN TO CALENDAR",
		InfluxQL: "SELECT " + columns + " FROM cpu WHERE " + f.influxQL() + " GROUP BY time(" + short + ")",
		ClickHouse: "SELECT " + startOf[unit] + "(time) AS " + unit + ", " + columns + " FROM cpu WHERE " + f.clickHouse() +
			" GROUP BY " + unit + " ORDER BY " + unit,
	}
}

// startOf are ClickHouse's functions.
var startOf = map[string]string{"minute": "toStartOfMinute", "hour": "toStartOfHour"}

// meanPerHostAndHour is double-groupby: the mean of some fields by host and hour.
func (in *instance) meanPerHostAndHour(fields int) Query {
	hours := int(longestWindow / time.Hour)
	f := filter{}.during(in.randomWindow(longestWindow))
	columns := aggregates("avg", fields)
	return Query{
		SQL: "SELECT date_trunc('hour', time) AS hour, hostname, " + columns + " FROM cpu WHERE " + f.sql() +
			" GROUP BY hour, hostname ORDER BY hour, hostname",
		QuestDB: "SELECT timestamp, hostname, " + columns + " FROM cpu WHERE " + f.questDB() +
			" SAMPLE BY 1h ALIGN TO CALENDAR ORDER BY timestamp, hostname",
		InfluxQL: "SELECT " + aggregates("mean", fields) + " FROM cpu WHERE " + f.influxQL() + " GROUP BY time(1h), hostname",
		ClickHouse: "SELECT toStartOfHour(time) AS hour, hostname, " + columns + " FROM cpu WHERE " + f.clickHouse() +
			" GROUP BY hour, hostname ORDER BY hour, hostname",
		MinRows: hours * in.config.Hosts, MaxRows: (hours + 1) * in.config.Hosts,
	}
}

// highCPU returns whole rows above a threshold, of some hosts or, for 0, of all.
func (in *instance) highCPU(hosts int) Query {
	var f filter
	affected := in.config.Hosts
	if hosts > 0 {
		f = in.hosts(hosts)
		affected = hosts
	}
	f = f.during(in.randomWindow(longestWindow))
	sql := fmt.Sprintf("SELECT * FROM cpu WHERE usage_user > %d AND ", highUsage)
	return Query{
		SQL: sql + f.sql(), QuestDB: sql + f.questDB(), InfluxQL: sql + f.influxQL(), ClickHouse: sql + f.clickHouse(),
		MaxRows: affected * int(longestWindow/in.config.Interval),
	}
}

// lastPoint returns the last row of each host.
func (in *instance) lastPoint() Query {
	return Query{
		SQL:        "SELECT DISTINCT ON (hostname) * FROM cpu ORDER BY hostname, time DESC",
		QuestDB:    "SELECT * FROM cpu LATEST ON timestamp PARTITION BY hostname",
		InfluxQL:   "SELECT * FROM cpu GROUP BY hostname ORDER BY time DESC LIMIT 1",
		ClickHouse: "SELECT * FROM cpu ORDER BY hostname, time DESC LIMIT 1 BY hostname",
		MinRows:    in.config.Hosts, MaxRows: in.config.Hosts,
	}
}

// lastPointJoin is the same without a sort of the table.
func (in *instance) lastPointJoin() Query {
	sql := "SELECT c.* FROM cpu c JOIN (SELECT hostname, max(time) AS time FROM cpu GROUP BY hostname) l " +
		"ON c.hostname = l.hostname AND c.time = l.time ORDER BY c.hostname"
	return Query{SQL: sql, ClickHouse: sql, MinRows: in.config.Hosts, MaxRows: in.config.Hosts}
}

// lastMinutes is groupby-orderby-limit: the last five minutes before a random time.
func (in *instance) lastMinutes() Query {
	const minutes = 5
	_, end := in.randomWindow(time.Hour)
	f := filter{end: end}
	limit := fmt.Sprintf(" DESC LIMIT %d", minutes)
	return Query{
		SQL: "SELECT date_trunc('minute', time) AS minute, max(usage_user) FROM cpu WHERE " + f.sql() +
			" GROUP BY minute ORDER BY minute" + limit,
		QuestDB: "SELECT timestamp, max(usage_user) FROM cpu WHERE " + f.questDB() +
			" SAMPLE BY 1m ALIGN TO CALENDAR ORDER BY timestamp" + limit,
		InfluxQL: "SELECT max(usage_user) FROM cpu WHERE " + f.influxQL() + " GROUP BY time(1m) ORDER BY time" + limit,
		ClickHouse: "SELECT toStartOfMinute(time) AS minute, max(usage_user) FROM cpu WHERE " + f.clickHouse() +
			" GROUP BY minute ORDER BY minute" + limit,
		MinRows: minutes, MaxRows: minutes,
	}
}

// filter is a condition on hosts and time; what is zero does not limit.
type filter struct {
	hosts      []string
	begin, end time.Time
}

// hosts limits a query to n different ones.
func (in *instance) hosts(n int) filter {
	var f filter
	for _, h := range in.rng.Perm(in.config.Hosts)[:n] {
		f.hosts = append(f.hosts, "'"+hostName(h)+"'")
	}
	return f
}

// during adds a window of time.
func (f filter) during(begin, end time.Time) filter {
	f.begin, f.end = begin, end
	return f
}

func (in *instance) randomWindow(length time.Duration) (begin, end time.Time) {
	room := int64((in.config.Duration - length) / time.Second)
	begin = in.config.Start.Add(time.Duration(in.rng.Int64N(room)) * time.Second)
	return begin, begin.Add(length)
}

func (f filter) sql() string { return f.text("time", "TIMESTAMP '", time.DateTime, "'", f.in()) }

func (f filter) clickHouse() string {
	return f.text("time", "toDateTime64('", time.DateTime, "', 9, 'UTC')", f.in())
}

func (f filter) questDB() string {
	return f.text("timestamp", "'", "2006-01-02T15:04:05.000000Z", "'", f.in())
}

func (f filter) influxQL() string {
	equal := make([]string, len(f.hosts))
	for i, h := range f.hosts {
		equal[i] = "hostname = " + h
	}
	return f.text("time", "'", time.RFC3339, "'", "("+strings.Join(equal, " OR ")+")")
}

func (f filter) in() string { return "hostname IN (" + strings.Join(f.hosts, ", ") + ")" }

// text joins the conditions; a time is written by its layout between open and end.
func (f filter) text(column, open, layout, end, hosts string) string {
	literal := func(t time.Time) string { return open + t.UTC().Format(layout) + end }
	var all []string
	if len(f.hosts) > 0 {
		all = append(all, hosts)
	}
	if !f.begin.IsZero() {
		all = append(all, column+" >= "+literal(f.begin))
	}
	return strings.Join(append(all, column+" < "+literal(f.end)), " AND ")
}

// aggregates applies a function to the first n fields.
func aggregates(function string, n int) string {
	columns := make([]string, n)
	for i, f := range Fields[:n] {
		columns[i] = function + "(" + f + ") AS " + function + "_" + f
	}
	return strings.Join(columns, ", ")
}
