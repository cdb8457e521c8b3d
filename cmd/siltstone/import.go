package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/siltstone-db/siltstone/lineprotocol"
	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/transfer"
)

type importCmd struct {
	File     importFileCmd     `cmd:"" default:"withargs" help:"Load files: line protocol, dumps of InfluxDB, CSV, Parquet."`
	InfluxDB importInfluxDBCmd `cmd:"" name:"influxdb" help:"Copy databases of a running InfluxDB 1, 2 or 3."`
}

// Help is the long text of --help.
func (*importCmd) Help() string {
	return `An import can be repeated: a point that is written again is one point. So one that was
interrupted is simply started again.

Examples:

  siltstone import -d home june.lp.gz backup/*.parquet
  siltstone import dump-of-influx-inspect.gz
  siltstone import -d home --table room --tag-columns name,floor measured.csv
  siltstone import influxdb --url http://old:8086 --v1-database telegraf --resume copy.json`
}

type importFileCmd struct {
	hostFlag
	Database string   `short:"d" aliases:"db" help:"Name of the database. Dumps of InfluxDB 1 name it themselves." env:"SILTSTONE_DATABASE_NAME,INFLUXDB3_DATABASE_NAME" placeholder:"NAME"`
	Files    []string `arg:"" name:"file" help:"Files, may be compressed with gzip or zstd. - is standard input."`
	Format   string   `help:"lp, csv or parquet. Default: what the name of a file ends in; else lp." enum:",lp,csv,parquet" default:""`
	csvFlags
	Precision string   `help:"Unit of times that are numbers: auto, ns, us, ms or s. Default: ns for line protocol, as InfluxDB and export write it; else auto, by their size." enum:",auto,ns,us,ms,s" default:""`
	RetryFor  duration `help:"How long to go on offering lines to a server that is busy. Default: ${default}." default:"10m" env:"SILTSTONE_RETRY_FOR" placeholder:"DURATION"`
	Quiet     bool     `short:"q" help:"No progress bar and no summary; errors only." env:"SILTSTONE_QUIET"`
}

// csvFlags say what files mean that do not say it themselves.
type csvFlags struct {
	Table      string     `help:"CSV and Parquet: table of the rows. Default: what the file says; of Parquet else its name." placeholder:"NAME"`
	TimeColumn string     `help:"CSV and Parquet: column that holds the time. Default: time." placeholder:"NAME"`
	TagColumns []string   `help:"CSV and Parquet: columns that are tags, with commas between them." placeholder:"NAME"`
	NoTags     bool       `help:"CSV and Parquet: no column is a tag."`
	Types      []typeFlag `help:"CSV and Parquet: types of fields: float, integer, unsigned, string or boolean. A number is a float otherwise." placeholder:"FIELD:TYPE"`
	Delimiter  string     `help:"CSV: what is between the fields, such as ; or a tab. Default: a comma." default:"," placeholder:"CHARACTER"`
}

// typeFlag is a field and its type.
type typeFlag struct {
	name string
	typ  schema.ColumnType
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *typeFlag) UnmarshalText(text []byte) error {
	var field tableField
	if err := field.UnmarshalText(text); err != nil {
		return err
	}
	typ, err := transfer.ParseType(field.Type)
	*f = typeFlag{field.Name, typ}
	return err
}

// Validate reports flags that do not belong together; kong calls it after parsing.
func (c *importFileCmd) Validate() error {
	switch {
	case c.NoTags && len(c.TagColumns) > 0:
		return errors.New("--tag-columns names tags and --no-tags says that there are none: leave out one of them")
	case len(c.Delimiter) != 1 || strings.Contains("\"\r\n", c.Delimiter):
		return fmt.Errorf("--delimiter %q is not one character of ASCII", c.Delimiter)
	}
	return nil
}

// Run loads each file.
func (c *importFileCmd) Run(ctx context.Context, env environment) error {
	return loadFiles(env, c.Files, c.Quiet, func(name string) (summary, error) { return c.loadFile(ctx, env, name) })
}

// options are what transfer takes.
func (c *importFileCmd) options() (transfer.Options, error) {
	precision, err := lineprotocol.ParsePrecision(c.Precision, lineprotocol.V3Precisions)
	o := transfer.Options{
		Table: c.Table, TimeColumn: c.TimeColumn, TagColumns: c.TagColumns, NoTags: c.NoTags, Types: map[string]schema.ColumnType{},
		Precision: precision, Delimiter: c.Delimiter[0], Limits: importLimits,
	}
	for _, t := range c.Types {
		o.Types[t.name] = t.typ
	}
	return o, err
}

var importLimits = transfer.Limits{Lines: maxChunkLines, Bytes: maxChunkBytes}

// loadFile loads one file in its format.
func (c *importFileCmd) loadFile(ctx context.Context, env environment, name string) (summary, error) {
	o, err := c.options()
	if err != nil {
		return summary{}, err
	}
	l := &loader{
		host: c.hostFlag, query: writeParams(c.Database, "ns"), retryFor: time.Duration(c.RetryFor), maxListed: maxListedLines,
	}
	format := c.Format
	if format == "" {
		format = importFormat(name)
	}
	if format == "parquet" {
		err = c.loadParquet(ctx, env, l, name, o)
	} else {
		err = c.loadText(ctx, env, l, name, format, o)
	}
	return l.sum, err
}

// writeParams are the parameters of requests that write lines.
func writeParams(database, precision string) url.Values {
	return url.Values{"db": {database}, "precision": {precision}, "accept_partial": {"true"}}
}

// importFormat is the format that the name of a file says.
func importFormat(name string) string {
	base := strings.ToLower(filepath.Base(name))
	base = strings.TrimSuffix(strings.TrimSuffix(base, ".gz"), ".zst")
	switch filepath.Ext(base) {
	case ".csv":
		return "csv"
	case ".parquet":
		return "parquet"
	}
	return "lp"
}

var errNoDatabase = errors.New("name the database with -d: the file does not say where its points belong")

func (c *importFileCmd) loadText(ctx context.Context, env environment, l *loader, name, format string, o transfer.Options) error {
	in, err := openInput(env, name)
	if err != nil {
		return err
	}
	defer in.close()
	l.offset = in.offset
	l.progress = env.progress(c.Quiet, inputName(name), in.size, byBytes)
	defer l.progress.clear()
	if format == "csv" {
		if c.Database == "" {
			return errNoDatabase
		}
		return l.loadChunks(ctx, converted(transfer.NewCSV(in.text, o).Next))
	}
	l.query.Set("precision", cmp.Or(c.Precision, "ns"))
	d := dumpReader{chunks: newChunker(in.text), given: c.Database}
	return l.loadChunks(ctx, d.next)
}

func (c *importFileCmd) loadParquet(ctx context.Context, env environment, l *loader, name string, o transfer.Options) error {
	if c.Database == "" {
		return errNoDatabase
	}
	if name == "-" {
		return errors.New("give a file, not standard input: Parquet is read from its end")
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	p, err := transfer.OpenParquet(ctx, f, tableOfFile(name), o)
	if err != nil {
		return err
	}
	defer p.Close()
	rows := int64(0)
	l.unit, l.offset = "row", func() int64 { return rows }
	l.progress = env.progress(c.Quiet, name, p.Rows, byRows)
	defer l.progress.clear()
	next := converted(p.Next)
	return l.loadChunks(ctx, func() (chunk, error) {
		c, err := next()
		rows += int64(len(c.places) + len(c.refused))
		return c, err
	})
}

// converted passes on the chunks of a converter.
func converted(next func() (*transfer.Chunk, error)) func() (chunk, error) {
	return func() (chunk, error) {
		c, err := next()
		if err != nil {
			return chunk{}, err
		}
		return chunk{body: c.Body, places: c.Places, refused: c.Refused}, nil
	}
}

// tableOfFile is the table that the name of a file says: export writes a table into a file
// of its name.
func tableOfFile(name string) string {
	base := filepath.Base(name)
	base = strings.TrimSuffix(base, filepath.Ext(base))
	if table, err := url.PathUnescape(base); err == nil && utf8.ValidString(table) {
		return table
	}
	return base
}

// dumpReader reads line protocol, and follows what dumps say of databases.
type dumpReader struct {
	chunks *chunker
	given  string // the database that the command line names, or ""
	dump   transfer.Dump
	seen   string // the database of the dump
	rest   chunk  // of the chunk that was read, when it is for several databases
}

// next returns a chunk whose lines are for one database.
func (d *dumpReader) next() (chunk, error) {
	for {
		c := d.rest
		d.rest = chunk{}
		if len(c.body) == 0 {
			var err error
			if c, err = d.chunks.next(); err != nil {
				return chunk{}, err
			}
		}
		if d.dump.MayHold(c.body) {
			c = d.split(c)
		}
		if len(c.body) == 0 {
			continue
		}
		var err error
		if c.database, err = d.database(c); err == nil || !onlyComments(c.body) {
			return c, err
		}
	}
}

// split returns the lines in front of the next that changes the state, and keeps those behind.
func (d *dumpReader) split(c chunk) chunk {
	for n := 0; n < len(c.body); {
		end, before := n+lineEnd(c.body[n:], true), d.dump
		if d.dump.Line(c.body[n:end]) {
			n = end
			continue
		}
		if n > 0 { // what is in front of it goes first, in the state before
			d.dump, end = before, n
		}
		d.rest = chunk{body: c.body[end:], firstLine: c.firstLine + bytes.Count(c.body[:end], []byte("\n"))}
		return chunk{body: c.body[:n], firstLine: c.firstLine}
	}
	return c
}

// database is where the lines of a chunk go. Two databases of a dump must not become one.
func (d *dumpReader) database(c chunk) (string, error) {
	database := d.dump.Database
	if database != "" && d.given != "" {
		if d.seen != "" && d.seen != database {
			return "", fmt.Errorf("line %d: the dump holds database %q besides %q: without -d each goes into a database of its name", c.firstLine, database, d.seen)
		}
		d.seen, database = database, d.given
	}
	if database == "" {
		database = d.given
	}
	if database == "" {
		return "", errNoDatabase
	}
	return transfer.TargetDatabase(database, d.dump.Policy), nil
}
