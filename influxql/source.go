package influxql

import (
	"slices"
	"strings"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/schema"
)

// autogen is the retention policy that every database of InfluxDB 1 has.
const autogen = "autogen"

// DatabaseOf is the database that holds what InfluxDB 1 keeps in a retention policy of a
// database: the policies that exist everywhere mean the database itself.
func DatabaseOf(database, policy string) string {
	switch policy = strings.ToLower(policy); policy {
	case "", "''", autogen, "default":
		return database
	}
	return database + "/" + policy
}

// resolve makes the sources of a statement plain: every measurement gets the database that holds
// it, and a regular expression becomes the measurements that match. What does not exist
// is left out.
func (c *compiler) resolve(sources influxql.Sources) (influxql.Sources, error) {
	var found influxql.Sources
	seen := map[[2]string]bool{}
	for _, source := range sources {
		m, ok := source.(*influxql.Measurement)
		if !ok {
			sub, isSub := source.(*influxql.SubQuery)
			if !isSub {
				return nil, refuse("the source %s is not supported", source)
			}
			inner, err := c.resolve(sub.Statement.Sources)
			if err != nil {
				return nil, err
			}
			sub.Statement.Sources = inner
			found = append(found, sub)
			continue
		}
		tables, database, err := c.measurements(m)
		if err != nil {
			return nil, err
		}
		for _, t := range tables {
			if key := [2]string{database, t.Name}; !seen[key] {
				seen[key] = true
				found = append(found, &influxql.Measurement{Database: database, Name: t.Name})
			}
		}
	}
	return found, nil
}

// measurements finds the tables that a measurement of FROM means.
func (c *compiler) measurements(m *influxql.Measurement) (tables []*schema.Table, database string, err error) {
	name, policy := m.Database, m.RetentionPolicy
	if name == "" {
		name = c.env.Database
		if policy == "" {
			policy = c.env.RetentionPolicy
		}
	}
	if name == "" {
		return nil, "", refuse("database name required")
	}
	if m.SystemIterator != "" || strings.HasPrefix(m.Name, "_series") || m.Name == "_fieldKeys" || m.Name == "_tagKeys" {
		return nil, "", refuse("the system source %s is not supported", m)
	}
	database = DatabaseOf(name, policy)
	if !c.env.mayRead(database) { // whether it exists or not
		return nil, "", &ForbiddenError{Database: database}
	}
	db, ok := c.env.Schema.Database(database)
	if !ok {
		if _, ok := c.env.Schema.Database(name); ok && database != name && c.env.mayRead(name) {
			return nil, "", refuse("retention policy not found: %s", policy)
		}
		return nil, "", &DatabaseNotFoundError{Database: name}
	}
	if m.Regex == nil {
		if t, ok := db.Table(m.Name); ok {
			tables = append(tables, t)
		}
		return tables, database, nil
	}
	for _, t := range db.Tables() {
		if m.Regex.Val.MatchString(t.Name) {
			tables = append(tables, t)
		}
	}
	return tables, database, nil
}

// table is what a resolved measurement means.
func (c *compiler) table(m *influxql.Measurement) *schema.Table {
	db, ok := c.env.Schema.Database(m.Database)
	if !ok {
		return nil
	}
	t, ok := db.Table(m.Name)
	if !ok {
		return nil
	}
	return t
}

// leaf is a measurement that an answer has series of.
type leaf struct{ name, database string }

// leaves lists the measurements in resolved sources, in order of their names. A step of the
// plan is for one of them. InfluxDB keeps measurements of one name apart by database
// only inside of one statement's shards; here each is a step of its own.
func leaves(sources influxql.Sources) []leaf {
	var all []leaf
	for _, source := range sources {
		switch source := source.(type) {
		case *influxql.Measurement:
			all = append(all, leaf{source.Name, source.Database})
		case *influxql.SubQuery:
			all = append(all, leaves(source.Statement.Sources)...)
		}
	}
	slices.SortFunc(all, func(a, b leaf) int {
		return strings.Compare(a.name+"\x00"+a.database, b.name+"\x00"+b.database)
	})
	return slices.Compact(all)
}

// touches reports whether a source has rows of a measurement.
func touches(source influxql.Source, l leaf) bool {
	return slices.Contains(leaves(influxql.Sources{source}), l)
}
