package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// RejectedLine is a row of the rejected-points log that is to be written after all: a
// line, or several.
type RejectedLine struct {
	ID        string
	Time      int64  // nanoseconds; when it was rejected, the time of a point without one
	Raw       string // as the log has it
	Quoted    bool   // likewise
	Truncated bool   // likewise: not all of the line was kept, it cannot be retried
	Precision Precision
}

// RetriedLine says what became of a RejectedLine.
type RetriedLine struct {
	ID      string
	Message string // why it was rejected again; empty when it was accepted
	Hint    string
}

// maxRetryBody is how many lines are written at once: as many as Write reports on.
const maxRetryBody = MaxReportedErrors

// RetryRejected writes lines of the rejected-points log to the database for which they
// were meant, and marks those that are accepted now. The result has the lines in their
// order. The errors are those of Write; the lines before the error are written.
func (e *Engine) RetryRejected(ctx context.Context, database string, lines []RejectedLine) ([]RetriedLine, error) {
	var results []RetriedLine
	for len(lines) > 0 {
		n := 1
		for n < min(len(lines), maxRetryBody) && lines[n].mayFollow(&lines[n-1]) {
			n++
		}
		done, err := e.retry(ctx, database, lines[:n])
		results = append(results, done...)
		if err != nil {
			return results, err
		}
		lines = lines[n:]
	}
	return results, nil
}

// mayFollow reports whether two lines may be written as one body: they were rejected by
// the same request, and the first ends where it ends. One with a quote or backslash may
// swallow what comes behind it.
func (l *RejectedLine) mayFollow(before *RejectedLine) bool {
	return l.Time == before.Time && l.Precision == before.Precision && l.isPlain() && before.isPlain()
}

func (l *RejectedLine) isPlain() bool { return !l.Quoted && !strings.ContainsAny(l.Raw, "\"\\\n") }

// retry writes lines that were rejected at the same time and in the same precision.
func (e *Engine) retry(ctx context.Context, database string, lines []RejectedLine) ([]RetriedLine, error) {
	results := make([]RetriedLine, len(lines))
	var body []byte
	var owner []int // by line of the body, from 0
	for i, l := range lines {
		results[i].ID = l.ID
		raw, err := l.text()
		if err != nil {
			results[i].Message = err.Error()
			continue
		}
		body = append(append(body, raw...), '\n')
		owner = append(owner, i)
	}
	if len(body) > 0 {
		result, err := e.Write(ctx, WriteRequest{
			Database: database, Body: body, Precision: lines[0].Precision, AcceptPartial: true,
			MustExist: true, Now: lines[0].Time, isRetry: true,
		})
		if err != nil {
			return nil, err
		}
		for _, f := range result.Errors {
			r := &results[owner[min(f.Line, len(owner))-1]] // one alone may have line breaks
			if r.Message == "" {
				r.Message, r.Hint = f.Message, f.Hint
			}
		}
	}
	var accepted []rejectedPoint
	for i, r := range results {
		if r.Message == "" {
			accepted = append(accepted, rejectedPoint{r.ID, lines[i].Time})
		}
	}
	return results, e.markRetried(ctx, database, accepted)
}

func (l RejectedLine) text() (string, error) {
	if l.Truncated {
		return "", errors.New("the line was too long to be kept whole; write it again from its source")
	}
	if !l.Quoted {
		return l.Raw, nil
	}
	raw, err := strconv.Unquote(l.Raw)
	if err != nil {
		return "", fmt.Errorf("the kept line is no quoted string: %w", err)
	}
	return raw, nil
}
