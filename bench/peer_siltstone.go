package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/siltstone-db/siltstone/bench/tsbs"
	"github.com/siltstone-db/siltstone/internal/thirdparty"
)

// ourName is the name of the case that the others are related to.
const ourName = "Siltstone"

var siltstonePeer = peer{
	key: "siltstone", name: ourName, durable: "yes",
	get: func(context.Context, thirdparty.Cache) (programs, error) { return nil, nil },
	launch: func(ctx context.Context, b *bench, _ programs, dir string) (*running, error) {
		s, err := b.serve(ctx, dir, neverFlush)
		if err != nil {
			return nil, err
		}
		return &running{
			child: s.child, endpoint: s.endpoint, dialect: ours, dataDir: s.dataDir(), writeTarget: writeTarget,
			settle: func(context.Context) error { return s.flush() },
			count:  func() (int, error) { return s.countRows(tsbs.Table) },
		}, nil
	},
}

// ours is how Siltstone is asked.
var ours = dialect{
	request: func(q tsbs.Query) (request, bool) { return queryRequest(q.SQL), true },
	// Rows are flat, and no tag holds a brace.
	rows: func(text []byte) (int, error) { return bytes.Count(text, []byte("{")), nil },
}

// query runs one query and checks how many rows come back (B3).
func (d dialect) query(c *conn, q tsbs.Query) (answer, error) {
	r, ok := d.request(q)
	if !ok {
		return answer{}, errNotAsked
	}
	a, text, err := c.timed(r)
	if err != nil {
		return a, err
	}
	if a.rows, err = d.rows(text); err != nil {
		return a, fmt.Errorf("%s: %w", q.SQL, err)
	}
	if a.rows < q.MinRows || a.rows > q.MaxRows {
		return a, fmt.Errorf("%s: %d rows, expected %d to %d", q.SQL, a.rows, q.MinRows, q.MaxRows)
	}
	return a, nil
}

// decode reads the JSON of an answer.
func decode(text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("the answer %.200q: %w", text, err)
	}
	return nil
}

// askOne asks for one number.
func (e endpoint) askOne(target string, into any) error {
	text, err := e.once(newRequest("GET", target, "", nil), http.StatusOK)
	if err != nil {
		return err
	}
	return decode(text, into)
}
