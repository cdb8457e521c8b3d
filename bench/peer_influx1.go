package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/siltstone-db/siltstone/bench/tsbs"
	"github.com/siltstone-db/siltstone/internal/thirdparty"
)

// influx1Peer is InfluxDB 1.6, from Debian's package.
var influx1Peer = peer{
	key: "influx1", name: "InfluxDB " + thirdparty.InfluxdVersion, durable: "yes", get: getInflux1, launch: launchInflux1,
}

// getInflux1 shares what it gets with the tests of internal/influx1.
func getInflux1(ctx context.Context, _ thirdparty.Cache) (programs, error) {
	influxd, err := thirdparty.Influxd(ctx)
	return programs{"influxd": influxd}, err
}

// influx1Settings has rows leave the log soon after the last write, so that they are at rest when their
// bytes are counted. The log is synced for each write, as by default.
const influx1Settings = `  query-log-enabled = false
  cache-snapshot-write-cold-duration = "2s"`

func launchInflux1(ctx context.Context, _ *bench, p programs, dir string) (*running, error) {
	data := filepath.Join(dir, "data")
	config := filepath.Join(dir, "influxdb.conf")
	if err := os.WriteFile(config, thirdparty.InfluxdConfig(data, influx1Settings), 0o600); err != nil {
		return nil, err
	}
	c, err := startChild("InfluxDB", filepath.Join(dir, "log"), nil, p["influxd"], "run", "-config", config)
	if err != nil {
		return nil, err
	}
	r := &running{
		child: c, dataDir: data, writeTarget: "/write?db=" + database + "&precision=ns",
		settle: func(ctx context.Context) error { return awaitEmptyLog(ctx, filepath.Join(data, "wal")) },
		dialect: dialect{
			request: func(q tsbs.Query) (request, bool) {
				return newRequest("GET", influx1Target(q.InfluxQL), "", nil), q.InfluxQL != ""
			},
			rows: influx1Rows,
		},
	}
	r.count = func() (int, error) {
		var a influx1Answer[[]int]
		if err := r.askOne(influx1Target("SELECT count(usage_user) FROM "+tsbs.Table), &a); err != nil {
			return 0, err
		}
		if len(a.Results) != 1 || len(a.Results[0].Series) != 1 {
			return 0, nil
		}
		return a.Results[0].Series[0].Values[0][1], nil
	}
	err = c.await(ctx, func() (ok bool) {
		r.address, ok = thirdparty.InfluxdAddress(c.log())
		return ok
	})
	if err != nil {
		return nil, err
	}
	_, err = r.once(newRequest("POST", influx1Target("CREATE DATABASE "+database), "", nil), http.StatusOK)
	return r, err
}

// emptyLogTimeout bounds the wait for what a server does by itself.
const emptyLogTimeout = time.Minute

// awaitEmptyLog waits until the log's rows are in its other files.
func awaitEmptyLog(ctx context.Context, dir string) error {
	for until := time.Now().Add(emptyLogTimeout); time.Now().Before(until); {
		size, err := diskBytes(dir)
		if err != nil {
			return err
		}
		if size < mib {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settlePoll):
		}
	}
	return nil // its bytes are counted as they are
}

func influx1Target(influxQL string) string {
	return "/query?" + url.Values{"db": {database}, "epoch": {"ns"}, "q": {influxQL}}.Encode()
}

// influx1Answer is an answer to InfluxQL with rows of some type.
type influx1Answer[row any] struct {
	Results []struct {
		Series []struct {
			Values []row `json:"values"`
		} `json:"series"`
		Error string `json:"error"`
	} `json:"results"`
	Error string `json:"error"`
}

func influx1Rows(text []byte) (int, error) {
	var a influx1Answer[skip]
	if err := decode(text, &a); err != nil {
		return 0, err
	}
	if a.Error != "" {
		return 0, errors.New(a.Error)
	}
	rows := 0
	for _, result := range a.Results {
		if result.Error != "" {
			return 0, errors.New(result.Error)
		}
		for _, s := range result.Series {
			rows += len(s.Values)
		}
	}
	return rows, nil
}
