package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/internal/durable"
	"github.com/siltstone-db/siltstone/schema"
)

// SalvageReport says what a salvage found, kept and lost.
type SalvageReport struct {
	// Begun is when the salvage, or the first of its attempts, began.
	Begun time.Time `json:"begun"`
	// Dir is where everything that was not used lies now, below the data directory.
	Dir string `json:"dir"`
	// Nothing says that the directory has no damage, and nothing was done.
	Nothing bool `json:"nothing"`
	// Stage is how far an attempt has come; the next one goes on from there.
	Stage salvageStage `json:"stage"`
	// Findings are what the check before it found.
	Findings []Finding `json:"findings"`

	Catalog SalvagedCatalog `json:"catalog"`
	Log     SalvagedLog     `json:"log"`
	Files   []SalvagedFile  `json:"files"`
	// Tables sums up what was replayed and lost, by table.
	Tables []SalvagedTable `json:"tables"`
}

// SalvagedCatalog says what became of the catalog.
type SalvagedCatalog struct {
	Rebuilt bool `json:"rebuilt"`
	// Unreadable says why not all of the old one could be read.
	Unreadable string   `json:"unreadable,omitempty"`
	Lost       []string `json:"lost"`  // records that do not verify
	Notes      []string `json:"notes"` // what was made up or left out
	KeysFrom   string   `json:"keys_from,omitempty"`
}

// SalvagedLog says what became of the log.
type SalvagedLog struct {
	// Position is the record up to which every row was in files before; 0 if unknown.
	Position schema.Seq `json:"position"`
	// Last is the last record that anything names.
	Last    schema.Seq `json:"last"`
	Records int        `json:"records"` // that verify
	Rows    int        `json:"rows"`    // that were replayed
	// Lost are the records behind Position that cannot be read. Their rows are lost
	// unless a file has them: partitions may be flushed further than Position.
	Lost []schema.SeqRange `json:"lost"`
	// Damage are the places.
	Damage []SalvagedDamage `json:"damage"`
	// SetAside are batches that verify but fit no table.
	SetAside []SalvagedBatch `json:"set_aside"`
	// Again are partitions whose rows were replayed although files have some of them.
	Again []ReplayedPartition `json:"again,omitempty"`
}

// ReplayedPartition is a partition, and the first record that was replayed into it.
type ReplayedPartition struct {
	Database schema.DatabaseID `json:"database"`
	Table    schema.TableID    `json:"table"`
	Day      schema.Day        `json:"day"`
	From     schema.Seq        `json:"from"`
}

// SalvagedDamage is a place of the log that cannot be read.
type SalvagedDamage struct {
	File   string     `json:"file"`
	Offset int64      `json:"offset"`
	Bytes  int64      `json:"bytes"`
	First  schema.Seq `json:"first,omitempty"`
	Last   schema.Seq `json:"last,omitempty"`
	Reason string     `json:"reason"`
}

// SalvagedBatch is a part of a log record that was not used.
type SalvagedBatch struct {
	Record   schema.Seq        `json:"record"`
	Database schema.DatabaseID `json:"database"`
	Table    schema.TableID    `json:"table"`
	Rows     int               `json:"rows"`
	From     int64             `json:"from"`
	To       int64             `json:"to"`
	Reason   string            `json:"reason"`
}

// SalvagedFile is a Parquet file that is damaged, missing or unknown.
type SalvagedFile struct {
	File     string `json:"file"`
	Reason   string `json:"reason"`
	Database string `json:"database,omitempty"`
	Table    string `json:"table,omitempty"`
	Rows     uint64 `json:"rows"`     // of the file
	Kept     uint64 `json:"kept"`     // those of which time and tags are intact
	FromLog  uint64 `json:"from_log"` // others, from log records
	Lost     uint64 `json:"lost"`
	From     int64  `json:"from,omitempty"` // time of the first row, and of the last
	To       int64  `json:"to,omitempty"`
	// PerhapsOlder are the rows and values from the log that a record may have overwritten
	// which cannot be read any more.
	PerhapsOlder uint64 `json:"perhaps_older,omitempty"`
	// Values are lost fields of rows that are kept.
	Values []LostValues `json:"lost_values,omitempty"`
}

// LostValues are values of one field that are lost, of rows that are not. In their place
// there is an older value where an older file or the log has one, and else null.
type LostValues struct {
	Column string `json:"column"`
	Rows   uint64 `json:"rows"` // that had a value
	From   int64  `json:"from"` // their times lie between
	To     int64  `json:"to"`
}

// SalvagedTable sums up a table.
type SalvagedTable struct {
	Database string `json:"database"`
	Table    string `json:"table"`
	Replayed int    `json:"replayed"` // rows of the log
	Lost     uint64 `json:"lost"`     // rows of files
	From     int64  `json:"from,omitempty"`
	To       int64  `json:"to,omitempty"` // times of the lost rows lie between
	// PerhapsOlder are rows and values that are not lost, and perhaps not the last ones.
	PerhapsOlder uint64 `json:"perhaps_older,omitempty"`
	// Values are lost fields of rows that are not lost.
	Values []LostValues `json:"lost_values,omitempty"`
}

// IsLossless reports whether everything that was acknowledged is still there, as far as
// can be known.
func (r *SalvageReport) IsLossless() bool {
	if r.Catalog.Rebuilt || len(r.Log.Lost)+len(r.Log.SetAside) > 0 {
		return false
	}
	for _, f := range r.Files {
		if f.Lost+f.PerhapsOlder > 0 || len(f.Values) > 0 {
			return false
		}
	}
	return true
}

func (r *SalvageReport) table(database, table string) *SalvagedTable {
	for i := range r.Tables {
		if t := &r.Tables[i]; t.Database == database && t.Table == table {
			return t
		}
	}
	r.Tables = append(r.Tables, SalvagedTable{Database: database, Table: table})
	return &r.Tables[len(r.Tables)-1]
}

// sumLosses brings Tables up to date with Files.
func (r *SalvageReport) sumLosses() {
	for i := range r.Tables {
		t := &r.Tables[i]
		t.Lost, t.From, t.To, t.PerhapsOlder, t.Values = 0, 0, 0, 0, nil
	}
	for _, f := range r.Files {
		if f.Table == "" {
			continue
		}
		t := r.table(f.Database, f.Table)
		t.PerhapsOlder += f.PerhapsOlder
		for _, v := range f.Values {
			t.addValues(v)
		}
		if f.Lost == 0 {
			continue
		}
		if t.Lost == 0 {
			t.From, t.To = f.From, f.To
		}
		t.From, t.To = min(t.From, f.From), max(t.To, f.To)
		t.Lost += f.Lost
	}
}

func (t *SalvagedTable) addValues(v LostValues) {
	i := slices.IndexFunc(t.Values, func(w LostValues) bool { return w.Column == v.Column })
	if i < 0 {
		t.Values = append(t.Values, v)
		return
	}
	w := &t.Values[i]
	w.Rows += v.Rows
	w.From, w.To = min(w.From, v.From), max(w.To, v.To)
}

const timeLayout = "2006-01-02T15:04:05.999999999Z"

func formatTime(ns int64) string { return time.Unix(0, ns).UTC().Format(timeLayout) }

func formatSeqs(ranges []schema.SeqRange) string {
	var parts []string
	for _, r := range ranges {
		if r.Min == r.Max {
			parts = append(parts, fmt.Sprint(r.Min))
		} else {
			parts = append(parts, fmt.Sprintf("%d to %d", r.Min, r.Max))
		}
	}
	return strings.Join(parts, ", ")
}

// WriteText writes the report for people.
func (r *SalvageReport) WriteText(w io.Writer) error {
	var b bytes.Buffer
	if r.Nothing {
		b.WriteString("No damage was found. Nothing was changed.\n")
		_, err := w.Write(b.Bytes())
		return err
	}
	fmt.Fprintf(&b, "Salvage of %s\n\n", r.Begun.UTC().Format(time.RFC3339))
	fmt.Fprintf(&b, "Found:\n")
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %s\n", f)
	}
	r.writeCatalog(&b)
	r.writeLog(&b)
	r.writeFiles(&b)
	b.WriteString("\nLost:\n")
	switch {
	case r.IsLossless():
		b.WriteString("  nothing\n")
	default:
		for i := range r.Tables {
			r.Tables[i].writeLost(&b)
		}
		for _, f := range r.Files {
			if f.Table == "" {
				fmt.Fprintf(&b, "  the rows of %s, except those that the log still has\n", f.File)
			}
		}
		if len(r.Log.Lost) > 0 {
			fmt.Fprintf(&b, "  the rows of log records %s, except those of partitions that were flushed\n", formatSeqs(r.Log.Lost))
		}
		if n := len(r.Log.SetAside); n > 0 {
			fmt.Fprintf(&b, "  %d batches of log records that fit no table\n", n)
		}
		if r.Catalog.Rebuilt {
			b.WriteString("  what the catalog had and nothing else has: see above\n")
		}
	}
	fmt.Fprintf(&b, "\nEverything that was not used lies in %s. No byte of it was changed.\n", r.Dir)
	_, err := w.Write(b.Bytes())
	return err
}

func (t *SalvagedTable) writeLost(b *bytes.Buffer) {
	of := fmt.Sprintf("of table %q of database %q", t.Table, t.Database)
	if t.Lost > 0 {
		fmt.Fprintf(b, "  %d rows %s, between %s and %s\n", t.Lost, of, formatTime(t.From), formatTime(t.To))
	}
	for _, v := range t.Values {
		fmt.Fprintf(b, "  field %q of %d rows %s, between %s and %s\n", v.Column, v.Rows, of, formatTime(v.From), formatTime(v.To))
	}
	if t.PerhapsOlder > 0 {
		fmt.Fprintf(b, "  perhaps the last change of %d rows or values %s: they were taken from the log, in which records are missing\n", t.PerhapsOlder, of)
	}
}

func (r *SalvageReport) writeCatalog(b *bytes.Buffer) {
	if !r.Catalog.Rebuilt {
		return
	}
	b.WriteString("\nCatalog: it was built anew. TOKENS, RETENTION PERIODS AND DELETIONS OF WHICH THE RECORD IS LOST ARE GONE:\n" +
		"make tokens again before the server is reachable, set retention periods again, and delete again what was deleted.\n")
	if r.Catalog.Unreadable != "" {
		fmt.Fprintf(b, "  not readable: %s\n", r.Catalog.Unreadable)
	}
	for _, l := range r.Catalog.Lost {
		fmt.Fprintf(b, "  lost: %s\n", l)
	}
	for _, n := range r.Catalog.Notes {
		fmt.Fprintf(b, "  %s\n", n)
	}
	if r.Catalog.KeysFrom != "" {
		fmt.Fprintf(b, "  the keys of events were taken from %s\n", r.Catalog.KeysFrom)
	}
}

func (r *SalvageReport) writeLog(b *bytes.Buffer) {
	fmt.Fprintf(b, "\nLog: %d records verify; %d rows of them were in no file and are now.\n", r.Log.Records, r.Log.Rows)
	for _, d := range r.Log.Damage {
		fmt.Fprintf(b, "  %s, offset %d, %d bytes: %s", d.File, d.Offset, d.Bytes, d.Reason)
		if d.Last > 0 {
			fmt.Fprintf(b, " (records %s)", formatSeqs([]schema.SeqRange{{Min: d.First, Max: d.Last}}))
		}
		b.WriteString("\n")
	}
	if len(r.Log.Lost) > 0 {
		fmt.Fprintf(b, "  records that cannot be read: %s\n", formatSeqs(r.Log.Lost))
	}
	for _, s := range r.Log.SetAside {
		fmt.Fprintf(b, "  record %d: %d rows of table %d of database %d, %s to %s, were not used: %s\n",
			s.Record, s.Rows, s.Table, s.Database, formatTime(s.From), formatTime(s.To), s.Reason)
	}
}

func (r *SalvageReport) writeFiles(b *bytes.Buffer) {
	if len(r.Files) == 0 {
		return
	}
	b.WriteString("\nFiles:\n")
	for _, f := range r.Files {
		fmt.Fprintf(b, "  %s: %s\n", f.File, f.Reason)
		if f.Table != "" {
			fmt.Fprintf(b, "    %d rows of table %q of database %q, %s to %s: %d kept, %d taken from the log, %d lost\n",
				f.Rows, f.Table, f.Database, formatTime(f.From), formatTime(f.To), f.Kept, f.FromLog, f.Lost)
			if f.PerhapsOlder > 0 {
				fmt.Fprintf(b, "    %d rows or values from the log may be older ones: log records that may have changed them cannot be read\n", f.PerhapsOlder)
			}
			for _, v := range f.Values {
				fmt.Fprintf(b, "    field %q is lost in %d rows of those that are kept, %s to %s\n", v.Column, v.Rows, formatTime(v.From), formatTime(v.To))
			}
		}
	}
}

const (
	reportJSON = "report.json"
	reportText = "report.txt"
)

// save makes the report durable in the directory of the salvage.
func (s *salvage) save() error {
	b, err := json.MarshalIndent(&s.report, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	return s.writeFile(reportJSON, append(b, '\n'))
}

// load reads the report of an attempt that was interrupted.
func (s *salvage) load() error {
	fs := s.e.opts.FS
	f, err := fs.Open(s.e.path(salvagingDir + "/" + reportJSON))
	if errors.Is(err, os.ErrNotExist) {
		return nil // it ended before it did anything
	}
	if err != nil {
		return fmt.Errorf("opening the report of the interrupted salvage: %w", err)
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err == nil {
		err = json.Unmarshal(b, &s.report)
	}
	if err != nil {
		return fmt.Errorf("reading the report of the interrupted salvage: %w", err)
	}
	return nil
}

// writeFile writes a file of the salvage's directory, whole or not at all.
func (s *salvage) writeFile(name string, b []byte) error {
	fs, dir := s.e.opts.FS, s.e.path(salvagingDir)
	final := fs.PathJoin(dir, name)
	f, err := fs.Create(final+".tmp", vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("creating %s: %w", final, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fs.Rename(final+".tmp", final)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", final, err)
	}
	return durable.SyncDir(fs, dir)
}
