package backup

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"
)

// Store holds the objects of a repository. Names are like paths, of the characters that all
// stores take.
type Store interface {
	// Put writes an object, whole or not at all. One of that name may be replaced. An error
	// of r is returned.
	Put(ctx context.Context, name string, size int64, r io.Reader) error
	// Get opens an object. It returns ErrNoObject where there is none.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// List calls visit with each object whose name starts with prefix, which ends in a slash.
	List(ctx context.Context, prefix string, visit func(Object) error) error
	// Remove removes an object; that there is none is no error.
	Remove(ctx context.Context, name string) error
	// Sweep removes what Puts have left that were cut short before a time, and that List does not show.
	Sweep(ctx context.Context, before time.Time) error
	// Lock keeps other processes from changing the repository, as far as the store can.
	Lock(ctx context.Context) (io.Closer, error)
	// String is the place as users give it.
	String() string
}

// Object is what a listing says of one.
type Object struct {
	Name     string
	Bytes    int64
	Modified time.Time
}

// ErrNoObject says that a store has no object of a name.
var ErrNoObject = errors.New("there is no such object")

// S3Options say how to reach a store that speaks S3. The zero value is Amazon's.
type S3Options struct {
	// Endpoint is its URL; empty is https://s3.amazonaws.com.
	Endpoint string
	// Region is empty where the store does not care.
	Region string
	// AccessKey, SecretKey and SessionToken are never logged. Without keys requests are anonymous.
	AccessKey, SecretKey, SessionToken string
	// Sleep waits between two attempts of a request, or returns why the context ended; nil is by the machine's clock.
	Sleep func(context.Context, time.Duration) error
}

const s3Scheme = "s3://"

// OpenStore opens the store at a place: s3://bucket/prefix or a directory.
func OpenStore(place string, o S3Options) (Store, error) {
	if rest, ok := strings.CutPrefix(place, s3Scheme); ok {
		return openS3(rest, o)
	}
	return NewDir(nil, place), nil
}

type noCloser struct{}

func (noCloser) Close() error { return nil }
