package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// s3 is a store in a bucket.
type s3 struct {
	core           minio.Core
	bucket, prefix string // prefix is empty or ends in a slash
}

const (
	amazonEndpoint = "https://s3.amazonaws.com"
	// s3PartBytes are sent at once of a large object, and held in memory.
	s3PartBytes = 16 << 20
	s3Retries   = 5
)

// openS3 makes the store of bucket/prefix. It talks to nobody yet.
func openS3(place string, o S3Options) (*s3, error) {
	bucket, prefix, _ := strings.Cut(place, "/")
	if bucket == "" {
		return nil, fmt.Errorf("%s%s names no bucket; write %sBUCKET/PREFIX", s3Scheme, place, s3Scheme)
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	if o.Endpoint == "" {
		o.Endpoint = amazonEndpoint
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("the S3 endpoint %q is not a URL such as https://s3.example.com", o.Endpoint)
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(o.AccessKey, o.SecretKey, o.SessionToken),
		Secure: u.Scheme == "https", Region: o.Region, MaxRetries: s3Retries,
	})
	if err != nil {
		return nil, fmt.Errorf("the S3 endpoint %s: %w", o.Endpoint, err)
	}
	return &s3{core: minio.Core{Client: client}, bucket: bucket, prefix: prefix}, nil
}

// String implements Store.
func (s *s3) String() string { return s3Scheme + s.bucket + "/" + strings.TrimSuffix(s.prefix, "/") }

// Lock implements Store: there are no locks. Create looks again at what it relies on before it
// writes its manifest, and Prune leaves alone what is young.
func (s *s3) Lock(context.Context) (io.Closer, error) { return noCloser{}, nil }

// Put implements Store. Large objects are sent in parts, which become an object together.
func (s *s3) Put(ctx context.Context, name string, size int64, r io.Reader) error {
	source := &sourceReader{r: r}
	_, err := s.core.Client.PutObject(ctx, s.bucket, s.prefix+name, source, size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: s3PartBytes,
	})
	if source.err != nil { // what the client makes of it is not to be understood
		return source.err
	}
	return s.fault("writing", name, err)
}

// sourceReader remembers the error of what it reads.
type sourceReader struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (s *sourceReader) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// Get implements Store.
func (s *s3) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	body, _, _, err := s.core.GetObject(ctx, s.bucket, s.prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, s.fault("reading", name, err)
	}
	return body, nil
}

// List implements Store.
func (s *s3) List(ctx context.Context, prefix string, visit func(Object) error) error {
	ctx, cancel := context.WithCancel(ctx) // ends the listing where visit does
	defer cancel()
	for o := range s.core.Client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return s.fault("listing", prefix, o.Err)
		}
		if err := visit(Object{Name: strings.TrimPrefix(o.Key, s.prefix), Bytes: o.Size, Modified: o.LastModified}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Remove implements Store.
func (s *s3) Remove(ctx context.Context, name string) error {
	return s.fault("removing", name, s.core.RemoveObject(ctx, s.bucket, s.prefix+name, minio.RemoveObjectOptions{}))
}

// fault words an error of the client.
func (s *s3) fault(doing, name string, err error) error {
	if err == nil {
		return nil
	}
	switch answer := minio.ToErrorResponse(err); answer.Code {
	case minio.NoSuchKey:
		err = fmt.Errorf("%w (%w)", ErrNoObject, err)
	case minio.NoSuchBucket:
		err = fmt.Errorf("%w: make the bucket %s first", err, s.bucket)
	case minio.AccessDenied, "InvalidAccessKeyId", "SignatureDoesNotMatch":
		err = fmt.Errorf("%w: look at the variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION", err)
	}
	return fmt.Errorf("%s %s/%s: %w", doing, strings.TrimSuffix(s.String(), "/"), name, err)
}
