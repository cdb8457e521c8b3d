package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/siltstone-db/siltstone/bench/tsbs"
	"github.com/siltstone-db/siltstone/internal/thirdparty"
)

const questDBVersion = "9.3.4"

// questDB starts from the jar of Maven Central. sync is its commit mode: nosync, the default, or sync.
func questDB(key, mode, durable string) peer {
	return peer{
		key: key, name: "QuestDB " + questDBVersion + " " + mode, durable: durable, get: getQuestDB,
		launch: func(ctx context.Context, _ *bench, p programs, dir string) (*running, error) {
			return launchQuestDB(ctx, p, dir, mode)
		},
	}
}

func getQuestDB(ctx context.Context, c thirdparty.Cache) (programs, error) {
	if err := thirdparty.Need("java", "mvn"); err != nil {
		return nil, err
	}
	jar, err := c.Install(ctx, "questdb-"+questDBVersion, "questdb-"+questDBVersion+".jar",
		"mvn --quiet --batch-mode dependency:copy -Dartifact=org.questdb:questdb:"+questDBVersion+" -DoutputDirectory=.")
	return programs{"jar": jar}, err
}

// questDBConfig keeps it to one port of loopback, and silent.
const questDBConfig = `
http.bind.to=127.0.0.1:%d
http.min.enabled=false
pg.enabled=false
line.tcp.enabled=false
telemetry.enabled=false
cairo.commit.mode=%s
`

func launchQuestDB(ctx context.Context, p programs, dir, mode string) (*running, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(filepath.Join(data, "conf"), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(data, "conf", "server.conf"), fmt.Appendf(nil, questDBConfig, port, mode), 0o600); err != nil {
		return nil, err
	}
	c, err := startChild("QuestDB", filepath.Join(dir, "log"), []string{"QDB_TELEMETRY_ENABLED=false"},
		"java", "-p", p["jar"], "-m", "io.questdb/io.questdb.ServerMain", "-d", data)
	if err != nil {
		return nil, err
	}
	r := &running{
		child: c, endpoint: endpoint{"127.0.0.1:" + strconv.Itoa(port)}, dataDir: data,
		writeTarget: "/write?precision=n",
		settle:      func(context.Context) error { return nil }, // count waits for the rows
		dialect: dialect{
			request: func(q tsbs.Query) (request, bool) {
				return newRequest("GET", questDBTarget(q.QuestDB), "", nil), q.QuestDB != ""
			},
			rows: questDBRows,
		},
	}
	r.count = func() (int, error) {
		var a struct {
			Dataset [][]int `json:"dataset"`
		}
		if err := r.askOne(questDBTarget("SELECT count() FROM "+tsbs.Table), &a); err != nil {
			return 0, err
		}
		if len(a.Dataset) != 1 || len(a.Dataset[0]) != 1 {
			return 0, errors.New("the count is no number")
		}
		return a.Dataset[0][0], nil
	}
	return r, c.await(ctx, func() bool {
		_, err := r.once(newRequest("GET", questDBTarget("SELECT 1"), "", nil), http.StatusOK)
		return err == nil
	})
}

func questDBTarget(sql string) string {
	return "/exec?" + url.Values{"query": {sql}, "count": {"true"}}.Encode()
}

// questDBRows reads the number of rows that the answer itself gives.
func questDBRows(text []byte) (int, error) {
	var a struct {
		Count   *int   `json:"count"`
		Error   string `json:"error"`
		Dataset []skip `json:"dataset"`
	}
	if err := decode(text, &a); err != nil {
		return 0, err
	}
	if a.Error != "" {
		return 0, errors.New(a.Error)
	}
	if a.Count == nil || *a.Count != len(a.Dataset) {
		return 0, fmt.Errorf("the answer has %d rows and says otherwise", len(a.Dataset))
	}
	return *a.Count, nil
}

// skip is a piece of JSON that is counted and not read.
type skip struct{}

func (*skip) UnmarshalJSON([]byte) error { return nil }
