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
	Truncated bool   // likewise: it was not kept as it was sent, and cannot be retried
	Precision Precision
	Points    int // lines in Raw; 0 is 1
}

// RetriedLine says what became of a RejectedLine.
type RetriedLine struct {
	ID                 string
	Accepted, Rejected int    // points
	Message            string // why the first of Rejected was rejected again
	Hint               string
}

// RetryOptions say how RetryRejected writes.
type RetryOptions struct {
	MustExist bool   // the database is not created
	Token     string // who retries
}

// maxRetryBody is how many lines are written at once: as many as Write reports on.
const maxRetryBody = MaxReportedErrors

// RetryRejected writes lines of the rejected-points log to the database for which they
// were meant, and marks those that are accepted now. Of a row with several lines the ones
// that are rejected again become rows of their own. The result has the lines in their
// order. The errors are those of Write; the lines before the error are written.
func (e *Engine) RetryRejected(ctx context.Context, database string, lines []RejectedLine, opts RetryOptions) ([]RetriedLine, error) {
	var results []RetriedLine
	for len(lines) > 0 {
		n := 1
		for n < min(len(lines), maxRetryBody) && lines[n].mayFollow(&lines[n-1]) {
			n++
		}
		done, err := e.retry(ctx, database, lines[:n], opts)
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
func (e *Engine) retry(ctx context.Context, database string, lines []RejectedLine, opts RetryOptions) ([]RetriedLine, error) {
	results := make([]RetriedLine, len(lines))
	var body []byte
	var owner []int // by line of the body, from 0
	for i, l := range lines {
		results[i] = RetriedLine{ID: l.ID, Accepted: 1}
		raw, err := l.text()
		if err != nil {
			results[i].refuse(err.Error(), "")
			results[i].Rejected = max(l.Points, 1)
			continue
		}
		body = append(append(body, raw...), '\n')
		owner = append(owner, i)
	}
	if len(body) > 0 {
		isBundle := lines[0].Points > 1
		result, err := e.Write(ctx, WriteRequest{
			Database: database, Body: body, Precision: lines[0].Precision, AcceptPartial: true,
			MustExist: opts.MustExist, NoNewTables: e.isOfDatasource(database), Now: lines[0].Time, Token: opts.Token,
			RequestID: lines[0].ID + "-retried", isRetry: !isBundle,
		})
		if err != nil {
			return nil, err
		}
		for _, f := range result.Errors {
			results[owner[min(f.Line, len(owner))-1]].refuse(f.Message, f.Hint) // one alone may have line breaks
		}
		if isBundle {
			results[0].Accepted, results[0].Rejected = result.Accepted, result.Rejected
		}
	}
	var done []rejectedPoint
	for i, r := range results {
		// What of several lines is rejected again has rows of its own, if there is a log.
		if r.Rejected == 0 || lines[i].Points > 1 && len(body) > 0 && e.ingesters.logsRejected {
			done = append(done, rejectedPoint{r.ID, lines[i].Time})
		}
	}
	return results, e.markRetried(ctx, database, done)
}

// refuse notes why the line is not accepted; the first reason stays.
func (r *RetriedLine) refuse(message, hint string) {
	r.Accepted, r.Rejected = 0, 1
	if r.Message == "" {
		r.Message, r.Hint = message, hint
	}
}

func (l RejectedLine) text() (string, error) {
	if l.Truncated {
		return "", errors.New("the line was not kept as it was sent; write it again from its source")
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
