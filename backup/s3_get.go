package backup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"
)

// Get implements Store. A connection that breaks in the middle is made again, for what is left.
func (s *s3) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	o := &s3Object{ctx: ctx, s: s, name: name}
	return o, s.patiently(ctx, "reading", name, o.open)
}

// s3Object reads an object.
type s3Object struct {
	ctx  context.Context // of the Get that it is made for
	s    *s3
	name string
	etag string

	size, offset int64
	body         io.ReadCloser // nil when the connection broke
}

// open asks for what is left of the object, which must still be the same.
func (o *s3Object) open() error {
	var options minio.GetObjectOptions
	if o.offset > 0 {
		if err := errors.Join(options.SetRange(o.offset, 0), options.SetMatchETag(o.etag)); err != nil {
			return err
		}
	}
	body, info, _, err := o.s.core.GetObject(o.ctx, o.s.bucket, o.s.prefix+o.name, options)
	if err != nil {
		return err
	}
	if o.offset > 0 && (info.Size != o.size-o.offset || info.ETag != o.etag) { // not every store looks at the tag
		return errors.Join(fmt.Errorf("%w, at byte %d", errChanged, o.offset), body.Close())
	}
	if o.offset == 0 {
		o.size, o.etag = info.Size, info.ETag
	}
	o.body = body
	return nil
}

// errChanged says that an object is another than when its reading began.
var errChanged = errors.New("the object has changed while it was read")

// Read implements io.Reader.
func (o *s3Object) Read(b []byte) (n int, err error) {
	if o.offset == o.size {
		return 0, io.EOF
	}
	err = o.s.patiently(o.ctx, "reading", o.name, func() (err error) {
		if o.body == nil {
			if err := o.open(); err != nil {
				return err
			}
		}
		n, err = o.body.Read(b)
		o.offset += int64(n)
		if n > 0 || err == nil {
			return nil // the next call says what there is to say
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		_ = o.Close() // it has said what was wrong
		return err
	})
	return n, err
}

// Close implements io.Closer.
func (o *s3Object) Close() error {
	if o.body == nil {
		return nil
	}
	err := o.body.Close()
	o.body = nil
	return err
}
