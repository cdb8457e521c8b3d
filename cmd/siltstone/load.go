package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
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
	unit       string       // what places of the input are; "" is lines
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
	return l.loadChunks(ctx, chunks.next)
}

// loadChunks sends every chunk, until there is io.EOF in the place of one.
func (l *loader) loadChunks(ctx context.Context, next func() (chunk, error)) error {
	for {
		c, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		before := l.sum.accepted
		for _, r := range c.refused {
			l.reject(rejectedLine{Message: r.Reason, Line: r.Place, Original: r.Text})
		}
		l.sum.rejected += len(c.refused)
		if err := l.send(ctx, c); err != nil {
			return fmt.Errorf("%s %d and following: %w", cmp.Or(l.unit, "line"), c.place(1), err)
		}
		l.progress.at(l.offset(), l.sum.accepted-before)
		if l.whole && l.sum.rejected > 0 {
			return nil
		}
	}
}

// send offers one chunk until the server takes or refuses it.
func (l *loader) send(ctx context.Context, c chunk) error {
	if len(c.body) == 0 {
		return nil
	}
	body, header := c.body, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}
	if l.gzip {
		packed, err := l.pack(c.body)
		if err != nil {
			return err
		}
		body = packed
		header.Set("Content-Encoding", "gzip")
	}
	query := l.query
	if c.database != "" {
		query = maps.Clone(query)
		query.Set("db", c.database)
	}
	var answer *http.Response
	err := patiently(ctx, l.retryFor, func() (err error) {
		answer, err = l.host.post(ctx, "/api/v3/write_lp", query, bytes.NewReader(body), header)
		return err
	})
	var refused *serverError
	switch {
	case err == nil:
		return errors.Join(l.accept(answer.Header, nil, c), answer.Body.Close())
	case errors.As(err, &refused):
		return l.refused(refused, c)
	}
	return err
}

// patiently repeats a request while the server is busy, at the times that it names.
func patiently(ctx context.Context, retryFor time.Duration, request func() error) error {
	deadline := time.Now().Add(retryFor)
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := request()
		var refused *serverError
		if !errors.As(err, &refused) || !refused.busy() || time.Now().After(deadline) {
			return err
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
		r.Line = c.place(r.Line)
		l.reject(r)
	}
	return nil
}

// reject keeps a rejected line, as long as there are not too many.
func (l *loader) reject(r rejectedLine) {
	if len(l.sum.lines) < l.maxListed {
		l.sum.lines = append(l.sum.lines, r)
	}
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
