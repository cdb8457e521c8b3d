package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/siltstone-db/siltstone/httpapi"
)

// loader sends line protocol to a server, chunk after chunk.
type loader struct {
	host       hostFlag
	query      url.Values // of the write requests
	gzip       bool
	whole      bool          // a refused chunk ends the load
	retryFor   time.Duration // how long one chunk is offered to a busy server
	progress   *progress
	offset     func() int64 // bytes of the input read so far, for the progress
	maxListed  int          // rejected lines that are kept
	chunkLines int          // lines in a request; 0 is maxChunkLines

	sum    summary
	packed bytes.Buffer
}

// summary says what became of the points of an input.
type summary struct {
	accepted, rejected int
	// lines describes rejected points by their line in the input, as many as the
	// server listed and maxListed allows.
	lines []rejectedLine
}

// load sends everything that src holds. Rejected points are no error; they are in
// the summary.
func (l *loader) load(ctx context.Context, src io.Reader) error {
	chunks := newChunker(src)
	if l.chunkLines > 0 {
		chunks.maxLines = l.chunkLines
	}
	for {
		c, err := chunks.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		before := l.sum.accepted
		if err := l.send(ctx, c); err != nil {
			return fmt.Errorf("line %d and following: %w", c.firstLine, err)
		}
		l.progress.at(l.offset(), l.sum.accepted-before)
		if l.whole && l.sum.rejected > 0 {
			return nil
		}
	}
}

// send offers one chunk until the server takes or refuses it.
func (l *loader) send(ctx context.Context, c chunk) error {
	body, header := c.body, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}
	if l.gzip {
		packed, err := l.pack(c.body)
		if err != nil {
			return err
		}
		body = packed
		header.Set("Content-Encoding", "gzip")
	}
	deadline := time.Now().Add(l.retryFor)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		answer, err := l.host.post(ctx, "/api/v3/write_lp", l.query, bytes.NewReader(body), header)
		if err == nil {
			return errors.Join(l.accept(answer.Header, nil, c), answer.Body.Close())
		}
		var refused *serverError
		if !errors.As(err, &refused) {
			return err
		}
		if !refused.busy() || time.Now().After(deadline) {
			return l.refused(refused, c)
		}
		if err := sleep(ctx, max(pause, refused.RetryAfter)); err != nil {
			return err
		}
	}
}

const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// busy reports whether the same request may succeed a little later.
func (e *serverError) busy() bool {
	return e.Status == http.StatusServiceUnavailable || e.Status == http.StatusTooManyRequests
}

// refused takes the answer to a chunk that was not stored as a whole. A body of
// nothing but comments is fine here: chunks of a file may be such.
func (l *loader) refused(e *serverError, c chunk) error {
	if e.Header.Get(httpapi.RejectedHeader) == "" {
		if e.Status == http.StatusBadRequest && onlyComments(c.body) {
			return nil
		}
		return e
	}
	return l.accept(e.Header, e.Data, c)
}

// accept adds the answer to a chunk to the summary.
func (l *loader) accept(header http.Header, rejected []rejectedLine, c chunk) error {
	accepted, err1 := strconv.Atoi(header.Get(httpapi.AcceptedHeader))
	refused, err2 := strconv.Atoi(header.Get(httpapi.RejectedHeader))
	if err1 != nil || err2 != nil {
		return errors.New("the answer does not say how many points were stored; is this a Siltstone server?")
	}
	l.sum.accepted += accepted
	l.sum.rejected += refused
	for _, r := range rejected {
		if len(l.sum.lines) == l.maxListed {
			break
		}
		r.Line += c.firstLine - 1
		l.sum.lines = append(l.sum.lines, r)
	}
	return nil
}

// onlyComments reports whether no line of body holds a point.
func onlyComments(body []byte) bool {
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

func (l *loader) pack(body []byte) ([]byte, error) {
	l.packed.Reset()
	zw, err := gzip.NewWriterLevel(&l.packed, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := zw.Write(body); err != nil {
		return nil, err
	}
	if err := zw.Close(); err != nil {
		return nil, err
	}
	return l.packed.Bytes(), nil
}

// sleep waits, or returns the reason why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}
