package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// s3 is a store in a bucket.
type s3 struct {
	core           minio.Core
	bucket, prefix string // prefix is empty or ends in a slash
	endpoint       string
	sleep          func(context.Context, time.Duration) error
	isReached      atomic.Bool // once it has answered
}

const (
	amazonEndpoint = "https://s3.amazonaws.com"
	// s3PartBytes are sent at once of a large object, and held in memory.
	s3PartBytes = 16 << 20
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
		Secure: u.Scheme == "https", Region: o.Region, MaxRetries: 1, // s3_patience.go repeats
	})
	if err != nil {
		return nil, fmt.Errorf("the S3 endpoint %s: %w", o.Endpoint, err)
	}
	s := &s3{core: minio.Core{Client: client}, bucket: bucket, prefix: prefix, endpoint: o.Endpoint, sleep: o.Sleep}
	if s.sleep == nil {
		s.sleep = sleep
	}
	return s, nil
}

// String implements Store.
func (s *s3) String() string { return s3Scheme + s.bucket + "/" + strings.TrimSuffix(s.prefix, "/") }

// Lock implements Store: there are no locks. Create looks again at what it relies on before it
// writes its manifest, and Prune leaves alone what is young.
func (s *s3) Lock(context.Context) (io.Closer, error) { return noCloser{}, nil }

// List implements Store. A listing that was cut off goes on behind the last object.
func (s *s3) List(ctx context.Context, prefix string, visit func(Object) error) error {
	last, stop := "", error(nil)
	err := s.patiently(ctx, "listing", prefix, func() error {
		ctx, cancel := context.WithCancel(ctx) // ends the listing where visit does
		defer cancel()
		for o := range s.core.Client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true, StartAfter: last}) {
			if o.Err != nil {
				return o.Err
			}
			last = o.Key
			if stop = visit(Object{Name: strings.TrimPrefix(o.Key, s.prefix), Bytes: o.Size, Modified: o.LastModified}); stop != nil {
				return nil
			}
		}
		return ctx.Err()
	})
	return errors.Join(stop, err)
}

// Remove implements Store.
func (s *s3) Remove(ctx context.Context, name string) error {
	return s.patiently(ctx, "removing", name, func() error {
		return s.core.RemoveObject(ctx, s.bucket, s.prefix+name, minio.RemoveObjectOptions{})
	})
}

// Sweep implements Store: it gives up uploads of parts that nobody has ended.
func (s *s3) Sweep(ctx context.Context, before time.Time) error {
	return s.patiently(ctx, "looking for parts below", "", func() error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for u := range s.core.ListIncompleteUploads(ctx, s.bucket, s.prefix, true) {
			if codeOf(u.Err) == minio.NoSuchUpload { // what some say who have none
				return nil
			}
			if u.Err != nil {
				return u.Err
			}
			if !u.Initiated.Before(before) {
				continue
			}
			if err := s.core.AbortMultipartUpload(ctx, s.bucket, u.Key, u.UploadID); err != nil && codeOf(err) != minio.NoSuchUpload {
				return err
			}
		}
		return nil
	})
}
