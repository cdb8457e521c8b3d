package backup

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// What a store answers, or does not, may pass: it is busy, starts anew, or the network breaks. A
// request is repeated then, with pauses that double, about half a minute long in all. The client
// library repeats only what it can rewind and by a clock of its own, and so is told not to.
const (
	s3Attempts   = 8
	s3FirstPause = 250 * time.Millisecond
	s3MostPause  = 10 * time.Second
)

// Statuses of HTTP that stores answer with.
const (
	statusMoved   = 301
	statusTimeout = 408
	statusTooMany = 429
	statusServer  = 500 // and above
	statusFull    = 507
)

// sleep waits, or returns the reason why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// patiently repeats a request while what is wrong with it may pass.
func (s *s3) patiently(ctx context.Context, doing, name string, request func() error) error {
	for attempt, pause := 1, s3FirstPause; ; attempt, pause = attempt+1, min(2*pause, s3MostPause) {
		err := request()
		if err == nil {
			s.isReached.Store(true)
			return nil
		}
		mayPass := ctx.Err() == nil && s.mayPass(err)
		if !mayPass || attempt == s3Attempts {
			return s.fault(doing, name, attempt, err)
		}
		if stop := s.sleep(ctx, pause/2+rand.N(pause/2)); stop != nil {
			return s.fault(doing, name, attempt, errors.Join(stop, err))
		}
	}
}

// mayPass reports whether the same request may succeed a little later.
func (s *s3) mayPass(err error) bool {
	var answer minio.ErrorResponse
	if errors.As(err, &answer) {
		s.isReached.Store(true)
		switch answer.Code {
		case "SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "OperationAborted":
			return true
		case "NotImplemented":
			return false
		}
		return answer.StatusCode >= statusServer && answer.StatusCode != statusFull ||
			answer.StatusCode == statusTimeout || answer.StatusCode == statusTooMany
	}
	var dial *net.OpError
	isDial := errors.As(err, &dial) && dial.Op == "dial"
	return !errors.Is(err, errChanged) && !isMisspelt(err) && (!isDial || s.isReached.Load())
}

// isMisspelt reports whether no store speaks TLS, or none whose name is known, at the endpoint.
func isMisspelt(err error) bool {
	var certificate x509.UnknownAuthorityError
	var host x509.HostnameError
	return errors.As(err, &certificate) || errors.As(err, &host) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// codeOf is what a store says in one word; "" is of errors that no store has said.
func codeOf(err error) string {
	var answer minio.ErrorResponse
	_ = errors.As(err, &answer)
	return answer.Code
}

// fault words an error of a request: what was done, to which object, and what helps.
func (s *s3) fault(doing, name string, attempts int, err error) error {
	var answer minio.ErrorResponse
	isAnswer := errors.As(err, &answer)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, errChanged):
	case answer.Code == minio.PreconditionFailed:
		err = errChanged
	case answer.Code == minio.NoSuchKey:
		err = fmt.Errorf("%w (%w)", ErrNoObject, err)
	case answer.Code == minio.NoSuchBucket:
		err = fmt.Errorf("%w: make the bucket %s first", err, s.bucket)
	case answer.Code == "InvalidAccessKeyId" || answer.Code == "SignatureDoesNotMatch":
		err = fmt.Errorf("%w: look at the variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION", err)
	case answer.Code == minio.AccessDenied:
		err = fmt.Errorf("%w: the keys of AWS_ACCESS_KEY_ID must be allowed to read, write and list in %s, and to remove for prune", err, s.bucket)
	case answer.Code == "AuthorizationHeaderMalformed" || answer.Code == "PermanentRedirect" || answer.StatusCode == statusMoved:
		err = fmt.Errorf("%w: set AWS_REGION to the region of the bucket %s %s", err, s.bucket, answer.Region)
	case answer.Code == "RequestTimeTooSkewed":
		err = fmt.Errorf("%w: set the clock of this machine", err)
	case answer.StatusCode == statusFull || answer.Code == "QuotaExceeded" || answer.Code == "XMinioStorageFull":
		err = fmt.Errorf("%w: the store is full", err)
	case isAnswer && s.mayPass(err):
		err = fmt.Errorf("%w (%s, %d times): the store is busy or ill; run the command again when it is well, what was copied is used then", err, answer.Code, attempts)
	case !isAnswer:
		err = fmt.Errorf("%w (%d times): look at AWS_ENDPOINT_URL, which is %s", err, attempts, s.endpoint)
	}
	return fmt.Errorf("%s %s/%s: %w", doing, strings.TrimSuffix(s.String(), "/"), name, err)
}
