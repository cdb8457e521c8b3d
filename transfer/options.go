package transfer

import (
	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
)

// Options say how files are understood that do not say it themselves.
type Options struct {
	// Table is where the rows go. Empty is what the file says: an error if it says nothing.
	Table string
	// TimeColumn is the name of the column that holds the rows' time; empty is time.
	TimeColumn string
	// TagColumns are the names of columns that are tags; nil is what the file says.
	TagColumns []string
	// NoTags says that no column is a tag, for files that do not say it.
	NoTags bool
	// Types are types of columns by name, before what the file says or looks like.
	Types map[string]schema.ColumnType
	// Precision is the unit of times that are numbers; zero is found by their size.
	Precision lineprotocol.Precision
	// Delimiter is between the fields of CSV; 0 is a comma.
	Delimiter byte
	// Limits bound a chunk.
	Limits Limits
}

// timeColumn is the name under which rows have their time.
func (o Options) timeColumn() string {
	if o.TimeColumn != "" {
		return o.TimeColumn
	}
	return schema.TimeColumn
}
