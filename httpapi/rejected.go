package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/query"
)

const (
	// MaxRetryIDs bounds the rejected points that a request names: each is a parameter of a query.
	MaxRetryIDs = 1000
	// maxRetryItems bounds the points that an answer describes; others are only counted.
	maxRetryItems = 10_000
)

// retryBody names rejected points of a database; without ids it names them all.
type retryBody struct {
	Database string   `json:"db"`
	IDs      []string `json:"ids"`
}

// retryAnswer says what became of them, the oldest first.
type retryAnswer struct {
	Retried int         `json:"retried"`
	Failed  int         `json:"failed"`
	Items   []retryItem `json:"items"`
}

type retryItem struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

// retryRejected writes points of the rejected-points log that can be written by now.
func (s *Server) retryRejected(b *backend, w http.ResponseWriter, r *http.Request) error {
	var body retryBody
	if err := s.decodeJSON(w, r, &body); err != nil {
		return err
	}
	if err := requireFields("db", body.Database); err != nil {
		return err
	}
	if err := requireWrite(r, body.Database); err != nil {
		return err
	}
	if len(body.IDs) > MaxRetryIDs {
		return badRequest("%d ids are too many for one request; send at most %d", len(body.IDs), MaxRetryIDs)
	}
	answer := retryAnswer{Items: []retryItem{}}
	if body.IDs == nil || len(body.IDs) > 0 {
		opts := engine.RetryOptions{MustExist: s.opts.DisableAutoCreate, Token: identityOf(r).Name}
		if err := retry(r.Context(), b, body, opts, &answer); err != nil {
			return err
		}
	}
	answer.addMissing(body.IDs)
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// retry reads the points that a request names from the log, record by record, and writes
// them. What was retried with success before is not among them.
func retry(ctx context.Context, b *backend, body retryBody, opts engine.RetryOptions, answer *retryAnswer) error {
	names := make([]string, len(body.IDs))
	bound := map[string]any{"status": engine.StatusRejected}
	for i, id := range body.IDs {
		name := "id" + strconv.Itoa(i)
		names[i], bound[name] = "$"+name, id
	}
	sql := "SELECT id, time, raw, quoted, truncated, precision, coalesce(points, 1) AS points FROM system.rejected_points WHERE status = $status"
	if len(names) > 0 {
		sql += " AND id IN (" + strings.Join(names, ", ") + ")"
	}
	sql += " ORDER BY time, id"
	res, err := b.querier.Query(ctx, query.Request{Database: body.Database, SQL: sql, Params: bound})
	if err != nil {
		return err
	}
	defer res.Close()
	for res.Next() {
		lines, err := rejectedLines(res.Record())
		if err != nil {
			return err
		}
		results, err := b.engine.RetryRejected(ctx, body.Database, lines, opts)
		if err != nil {
			return err
		}
		answer.addResults(results)
	}
	return res.Err()
}

// rejectedLines reads a record of the query in retry.
func rejectedLines(rec arrow.RecordBatch) ([]engine.RejectedLine, error) {
	ids, times, raw := rec.Column(0).(*array.String), rec.Column(1).(*array.Timestamp), rec.Column(2).(*array.String)
	quoted, truncated := rec.Column(3).(*array.Boolean), rec.Column(4).(*array.Boolean)
	precisions, points := rec.Column(5).(*array.String), rec.Column(6).(*array.Int64)
	lines := make([]engine.RejectedLine, rec.NumRows())
	for i := range lines {
		precision, err := rejectedPrecision(precisions.Value(i))
		if err != nil {
			return nil, err
		}
		lines[i] = engine.RejectedLine{
			ID: strings.Clone(ids.Value(i)), Time: int64(times.Value(i)), Raw: strings.Clone(raw.Value(i)),
			Quoted: quoted.Value(i), Truncated: truncated.Value(i), Precision: precision, Points: int(points.Value(i)),
		}
	}
	return lines, nil
}

// rejectedPrecision reads the name under which the log has a precision.
func rejectedPrecision(name string) (engine.Precision, error) {
	for p := engine.Auto; p <= engine.Hour; p++ {
		if strings.EqualFold(p.String(), name) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("the rejected-points log has a precision %q", name)
}

func (a *retryAnswer) addResults(results []engine.RetriedLine) {
	for _, line := range results {
		item := retryItem{ID: line.ID, Status: engine.StatusRetried}
		if line.Message != "" {
			item.Status, item.Message = engine.StatusRejected, withHint(line)
		}
		a.add(item, line.Accepted, line.Rejected)
	}
}

// addMissing adds the ids that the log does not have. There are few enough that every
// one that it has is among the items.
func (a *retryAnswer) addMissing(ids []string) {
	found := make(map[string]bool, len(a.Items))
	for _, item := range a.Items {
		found[item.ID] = true
	}
	for _, id := range ids {
		if !found[id] {
			a.add(retryItem{id, "not found", "no rejected point of this database has the id, or it was retried already"}, 0, 1)
		}
	}
}

func withHint(line engine.RetriedLine) string {
	if line.Hint == "" {
		return line.Message
	}
	return line.Message + " (" + line.Hint + ")"
}

// add counts the points of an item, and describes it.
func (a *retryAnswer) add(item retryItem, retried, failed int) {
	a.Retried += retried
	a.Failed += failed
	if len(a.Items) < maxRetryItems {
		a.Items = append(a.Items, item)
	}
}
