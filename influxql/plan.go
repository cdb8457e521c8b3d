package influxql

import (
	"time"

	"github.com/siltstone-db/siltstone/schema"
)

// Plan is what a statement that reads does: the rows of its steps, which all have the
// same columns, follow each other.
type Plan struct {
	// Columns are those of the answer. The measurement, in which the name of a step is
	// repeated, comes first where there is one; then time; then the group's tags; then
	// the values.
	Columns []Column
	Steps   []Step
	// Location is the zone in which times are shown, if the statement names one.
	Location *time.Location
	// Empty names the series that an answer without rows shows all the same, with its
	// columns and no values, as InfluxDB 1 does for some lists.
	Empty []string
}

// Role says what a column of an answer is.
type Role uint8

const (
	// MeasurementColumn holds the name of the series: a measurement, or the
	// kind of thing that a SHOW statement lists. It is made from Step.Name.
	MeasurementColumn Role = 1 + iota
	// TimeColumn holds instants in nanoseconds.
	TimeColumn
	// GroupColumn holds the value of a tag of GROUP BY; rows with the same measurement
	// and the same values in these columns are one series and follow each other.
	GroupColumn
	// ValueColumn holds anything else.
	ValueColumn
)

// Column describes a column of an answer.
type Column struct {
	Name string
	Role Role
	// Type is what the column holds; values are cast to it by the SQL of every step.
	Type schema.ColumnType
}

// Step yields some of the rows of an answer: those of one measurement.
type Step struct {
	// Name is what the measurement column holds.
	Name string
	// Database is the one that SQL is for.
	Database string
	// SQL selects the columns of the plan but for the measurement, in order of series and
	// then of time. Empty means that Rows are the answer.
	SQL string
	// Newest is not nil if newest points suffice.
	Newest *Newest
	// Rows are text that the schema knows, by column.
	Rows [][]string
}

// Environment is what a statement is compiled for.
type Environment struct {
	// Database and RetentionPolicy are what a measurement without its own is in.
	Database, RetentionPolicy string
	// Schema is all that exists.
	Schema *schema.Snapshot
	// MayRead answers whether the sender may read a database; nil is yes to all.
	MayRead func(database string) bool
	// Now is the time that now() means.
	Now time.Time
	// Stop answers whether compiling should end, and why; it is asked at each measurement.
	// nil is never.
	Stop func() error
	// V1 makes SHOW statements answer as InfluxDB 1 does, rather than as InfluxDB 3: names
	// of columns and series differ.
	V1 bool
}
