package engine

import (
	"fmt"

	"github.com/siltstone-db/siltstone/partition"
	"github.com/siltstone-db/siltstone/schema"
	"github.com/siltstone-db/siltstone/wal"
)

// checkLog reads the log that nobody has open. Rows behind the flushed positions are in
// the log or nowhere, so that it must have every record from there on.
func (c *checker) checkLog() error {
	position, durable := c.catalog.Position(), c.durable()
	report, err := wal.Check(wal.Options{
		FS: c.fs, Dir: c.path(walDir), DurableThrough: durable, Logger: c.opts.Logger,
	}, position, c.checkRecord)
	return c.takeLog(report, err)
}

// durable is the last record of which anything beside the log knows.
func (c *checker) durable() schema.Seq {
	last := max(c.catalog.Position(), readReached(c.fs, c.path(reachedName), c.catalog.InstanceID()))
	for _, seq := range c.catalog.Flushed() {
		last = max(last, seq)
	}
	return last
}

func (c *checker) takeLog(report wal.CheckReport, err error) error {
	if isNewer(err) || c.ctx.Err() != nil {
		return err
	}
	if err != nil {
		c.found(Finding{Severity: Damage, File: walDir, What: err.Error(), Affected: "rows that are in no file yet", Fix: c.fix("the directory " + walDir)})
		return nil
	}
	c.report.Records = report.Records
	for _, f := range report.Findings {
		if f.IsNote {
			c.found(Finding{Severity: Note, File: f.File, Offset: f.Offset, What: f.What})
			continue
		}
		affected := fmt.Sprintf("log records %d to %d", f.First, f.Last)
		if f.Last == 0 {
			affected = fmt.Sprintf("log records from %d on", f.First)
		}
		c.found(Finding{Severity: Damage, File: f.File, Offset: f.Offset, What: f.What, Affected: affected, Fix: c.fix("the directory " + walDir)})
	}
	return nil
}

// checkRecord decodes the batches of a record, and compares those that are needed with
// the catalog.
func (c *checker) checkRecord(at wal.Place, payload []byte) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	err := c.decoder.Decode(payload, func(b *partition.Batch) error {
		c.report.LogRows += b.Rows()
		if fault := c.judgeBatch(b); fault != "" {
			c.found(Finding{
				Severity: Damage, File: at.File, Offset: at.Offset, What: fmt.Sprintf("record %d has %s", at.Seq, fault),
				Affected: fmt.Sprintf("%d rows of %s", b.Rows(), b.Key), Fix: c.fix("the directory " + catalogDir),
			})
		}
		return nil
	})
	if isNewer(err) {
		return fmt.Errorf("%s, offset %d, record %d: %w", at.File, at.Offset, at.Seq, err)
	}
	if err != nil {
		c.found(Finding{
			Severity: Damage, File: at.File, Offset: at.Offset, What: fmt.Sprintf("record %d: %v", at.Seq, err),
			Affected: fmt.Sprintf("log record %d", at.Seq), Fix: c.fix("the directory " + walDir),
		})
	}
	return nil
}

// judgeBatch says what a batch refers to that is not defined, "" if nothing.
func (c *checker) judgeBatch(b *partition.Batch) string {
	s := c.catalog.Schema()
	if s.IsPurged(b.Key.Table) {
		return ""
	}
	def, ok := s.TableByID(b.Key.Table)
	if !ok || def.Database != b.Key.Database {
		return fmt.Sprintf("rows for %s, which the catalog does not know", b.Key)
	}
	for i := range b.Fields {
		if col, ok := def.ColumnByID(b.Fields[i].ID); !ok || col.Type != b.Fields[i].Type {
			return fmt.Sprintf("column %d of table %q, which the catalog does not know", b.Fields[i].ID, def.Name)
		}
	}
	for _, key := range b.Series {
		for id := range partition.Tags(key) {
			if col, ok := def.ColumnByID(id); !ok || col.Type != schema.Tag {
				return fmt.Sprintf("tag %d of table %q, which the catalog does not know", id, def.Name)
			}
		}
	}
	return ""
}
