package persist

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/thrift/lib/go/thrift"
)

// trailerBytes is the length of the metadata and the magic, which end a file.
const trailerBytes = 4 + len(magic)

// splitMetadata returns the metadata at the end of a footer.
func splitMetadata(footer []byte) ([]byte, error) {
	if len(footer) < trailerBytes {
		return nil, errors.New("the footer is too short")
	}
	b, trailer := footer[:len(footer)-trailerBytes], footer[len(footer)-trailerBytes:]
	if string(trailer[4:]) != magic {
		return nil, fmt.Errorf("the file ends with %q, not %q", trailer[4:], magic)
	}
	length := binary.LittleEndian.Uint32(trailer)
	if uint64(length) > uint64(len(b)) {
		return nil, fmt.Errorf("the footer's metadata has %d bytes, the footer %d", length, len(footer))
	}
	return b[len(b)-int(length):], nil
}

// parseMetadata calls into the Parquet library, which panics over some broken metadata.
func parseMetadata(b []byte) (*metadata.FileMetaData, error) {
	if err := checkSchema(b); err != nil {
		return nil, err
	}
	return metadata.NewFileMetaData(b, nil)
}

// Places in Parquet's definition of its metadata.
const (
	schemaField   = 2 // of FileMetaData: a list of SchemaElement
	childrenField = 5 // of SchemaElement: an i32
)

// checkSchema makes sure that no element of the schema has more children than there are
// elements: the library makes room for as many as it says, up to 16 GiB.
func checkSchema(b []byte) error {
	conf := &thrift.TConfiguration{MaxMessageSize: int32(min(len(b)+1, maxFooterBytes))}
	p := thrift.NewTCompactProtocolConf(&thrift.TMemoryBuffer{Buffer: bytes.NewBuffer(b)}, conf)
	ctx := context.Background()
	err := eachField(ctx, p, func(id int16, typ thrift.TType) error {
		if id != schemaField || typ != thrift.LIST {
			return thrift.SkipDefaultDepth(ctx, p, typ)
		}
		_, elements, err := p.ReadListBegin(ctx)
		for i := 0; i < elements && err == nil; i++ {
			err = checkElement(ctx, p, elements)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	return nil
}

func checkElement(ctx context.Context, p thrift.TProtocol, elements int) error {
	return eachField(ctx, p, func(id int16, typ thrift.TType) error {
		if id != childrenField || typ != thrift.I32 {
			return thrift.SkipDefaultDepth(ctx, p, typ)
		}
		children, err := p.ReadI32(ctx)
		if err == nil && (children < 0 || int(children) >= elements) {
			err = fmt.Errorf("a column has %d parts, and the schema %d", children, elements)
		}
		return err
	})
}

// eachField visits the fields of a struct, which the visitor reads.
func eachField(ctx context.Context, p thrift.TProtocol, visit func(id int16, typ thrift.TType) error) error {
	if _, err := p.ReadStructBegin(ctx); err != nil {
		return err
	}
	for {
		_, typ, id, err := p.ReadFieldBegin(ctx)
		if err != nil {
			return err
		}
		if typ == thrift.STOP {
			return p.ReadStructEnd(ctx)
		}
		if err := visit(id, typ); err != nil {
			return err
		}
	}
}

// readMetadata reads and parses the metadata of a file.
func (s *source) readMetadata() (*metadata.FileMetaData, error) {
	size := s.Size()
	trailer := make([]byte, trailerBytes)
	if _, err := s.ReadAt(trailer, max(size-int64(trailerBytes), 0)); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("end of file: %w", err)
	}
	length := int64(binary.LittleEndian.Uint32(trailer))
	if length > maxFooterBytes || length > size-int64(len(magic)+trailerBytes) {
		return nil, fmt.Errorf("the metadata has %d bytes, the file %d", length, size)
	}
	b := make([]byte, length+int64(trailerBytes))
	if _, err := s.ReadAt(b, size-int64(len(b))); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	b, err := splitMetadata(b)
	if err != nil {
		return nil, err
	}
	m, err := parseMetadata(b)
	if err == nil {
		m.SetSourceFileSize(size)
	}
	return m, err
}
