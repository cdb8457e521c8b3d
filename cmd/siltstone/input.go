package main

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// input is a file that is loaded, or standard input.
type input struct {
	file    *os.File // nil for standard input
	size    int64    // of the file, or -1
	counted *countingReader
	text    io.Reader // what it holds, decompressed
}

// openInput opens a file; - is standard input.
func openInput(env environment, name string) (*input, error) {
	in := &input{size: -1, counted: &countingReader{Reader: env.stdin}}
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			in.size = info.Size()
		}
		in.file, in.counted.Reader = f, f
	}
	var err error
	if in.text, err = decompress(in.counted); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// offset is how much of the file was read.
func (in *input) offset() int64 { return in.counted.n }

// close gives the file up, of which nothing is left to be lost.
func (in *input) close() {
	if z, ok := in.text.(*zstd.Decoder); ok {
		z.Close()
	}
	if in.file != nil {
		_ = in.file.Close()
	}
}

// zstdMemory bounds what a file may ask a decoder to remember.
const zstdMemory = 128 << 20

// decompress reads what begins as gzip or zstd, and passes the rest as it is.
func decompress(src io.Reader) (io.Reader, error) {
	head := make([]byte, 4)
	n, err := io.ReadFull(src, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	head = head[:n]
	whole := io.MultiReader(bytes.NewReader(head), src)
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return gzip.NewReader(whole)
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return zstd.NewReader(whole, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(zstdMemory))
	}
	return whole, nil
}
