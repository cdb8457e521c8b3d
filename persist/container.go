package persist

import (
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	pqschema "github.com/apache/arrow-go/v18/parquet/schema"
)

// container is the frame of a Parquet file: the magic, row groups of column chunks, the
// page indexes, the footer. The library makes all of it but the order of the calls and
// the values of the pages, which are ours; its own writer of files takes no pages.
type container struct {
	out    counted
	props  *parquet.WriterProperties
	meta   *metadata.FileMetaDataBuilder
	index  *metadata.PageIndexBuilder
	pages  file.PageWriter
	group  *metadata.RowGroupMetaDataBuilder
	groups int16
	column int // the next one of the row group
}

// counted tells the library where in the file it is.
type counted struct{ *pendingFile }

// Tell returns the number of bytes written.
func (c counted) Tell() int64 { return int64(c.bytes) }

// startContainer writes the file's first bytes.
func startContainer(out *pendingFile, layout *pqschema.Schema, props *parquet.WriterProperties) (*container, error) {
	c := &container{
		out: counted{out}, props: props,
		meta:  metadata.NewFileMetadataBuilder(layout, props, nil),
		index: &metadata.PageIndexBuilder{Schema: layout},
	}
	if _, err := out.Write([]byte(magic)); err != nil {
		return nil, fmt.Errorf("starting file: %w", err)
	}
	return c, nil
}

func (c *container) startGroup() error {
	if err := c.index.AppendRowGroup(); err != nil {
		return fmt.Errorf("starting row group: %w", err)
	}
	c.group, c.column = c.meta.AppendRowGroup(), 0
	return nil
}

// nextColumn begins the next column chunk of the row group. What writes it closes the
// page writer, which takes what is known of the chunk to its metadata.
func (c *container) nextColumn() (file.PageWriter, *metadata.ColumnChunkMetaDataBuilder, error) {
	about := c.group.NextColumnChunk()
	values, err := c.index.GetColumnIndexBuilder(c.column)
	if err != nil {
		return nil, nil, err
	}
	offsets, err := c.index.GetOffsetIndexBuilder(c.column)
	if err != nil {
		return nil, nil, err
	}
	path := about.Descr().Path()
	codec, level := c.props.CompressionFor(path), c.props.CompressionLevelFor(path)
	if c.pages == nil {
		c.pages, err = file.NewPageWriter(c.out, codec, level, about, c.groups, int16(c.column), c.props.Allocator(), false, nil, nil)
	} else {
		err = c.pages.Reset(c.out, codec, level, about, c.groups, int16(c.column), nil, nil)
	}
	if err != nil {
		return nil, nil, err
	}
	c.pages.SetIndexBuilders(values, offsets)
	c.column++
	return c.pages, about, nil
}

func (c *container) endGroup(rows int) error {
	c.group.SetNumRows(rows)
	if err := c.group.Finish(0, c.groups); err != nil {
		return fmt.Errorf("ending row group: %w", err)
	}
	c.groups++
	return nil
}

// finish writes the page indexes and the footer.
func (c *container) finish() error {
	var at metadata.PageIndexLocation
	c.index.Finish()
	if err := c.index.WriteTo(c.out, &at); err != nil {
		return fmt.Errorf("writing page indexes: %w", err)
	}
	if err := c.meta.SetPageIndexLocation(at); err != nil {
		return fmt.Errorf("locating page indexes: %w", err)
	}
	all, err := c.meta.Finish()
	if err != nil {
		return fmt.Errorf("making footer: %w", err)
	}
	n, err := all.WriteTo(c.out, nil)
	if err != nil {
		return fmt.Errorf("writing footer: %w", err)
	}
	end := append(binary.LittleEndian.AppendUint32(nil, uint32(n)), magic...)
	if _, err := c.out.Write(end); err != nil {
		return fmt.Errorf("writing footer: %w", err)
	}
	return nil
}
