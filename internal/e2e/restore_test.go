//go:build duckdb_arrow

package e2e

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// bearer shows a token with every request.
type bearer struct {
	token string
	http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.RoundTripper.RoundTrip(r)
}

// owned is a server that asks for tokens, and that of its owner.
type owned struct {
	*server
	token string
}

// startOwned starts a server; token is "" when there is none yet.
func (s *site) startOwned(token string) owned {
	s.t.Helper()
	srv := s.start("--without-auth=false")
	if token == "" {
		a, err := srv.do(http.MethodPost, "/api/v3/configure/token/admin", nil, nil)
		var made struct {
			Token string `json:"token"`
		}
		if err != nil || json.Unmarshal([]byte(a.body), &made) != nil {
			s.t.Fatalf("%v %d %s", err, a.status, a.body)
		}
		token = made.Token
	}
	srv.http.Transport = bearer{token, srv.http.Transport}
	return owned{srv, token}
}

// run runs a command with the server, which must succeed.
func (o owned) run(args ...string) string {
	o.site.t.Helper()
	out, said, status := o.site.command(append(args, "--host", o.url, "--token", o.token)...)
	if status != 0 {
		o.site.t.Fatalf("%v: status %d: %s%s", args, status, out, said)
	}
	return out
}

// rows are the rows of all tables of a database, rollups included, in an order of their own.
func (o owned) rows(db string) []string {
	o.site.t.Helper()
	lines := strings.Split(o.run("export", "-d", db, "--all", "--format", "csv", "-q"), "\n")
	slices.Sort(lines)
	return lines
}

// everything is what the server has, as its owner can see it.
func (o owned) everything() map[string][]string {
	o.site.t.Helper()
	all := make(map[string][]string)
	for _, what := range [][]string{
		{"show", "databases", "--show-deleted"}, {"show", "tokens"}, {"show", "retention"}, {"show", "datasources"},
	} {
		all[strings.Join(what, " ")] = strings.Split(o.run(append(what, "--format", "csv")...), "\n")
	}
	all["rollups"] = o.rollups()
	for _, db := range []string{"db", "kept"} {
		all["rows of "+db] = o.rows(db)
		all["columns of "+db] = o.texts(db, "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'iox' ORDER BY ALL")
		all["caches of "+db] = o.caches(db)
	}
	return all
}

// texts are the rows of an answer.
func (s *server) texts(db, sql string) (all []string) {
	s.site.t.Helper()
	for _, r := range s.query(db, sql) {
		all = append(all, fmt.Sprint(r))
	}
	return all
}

// caches are the named caches of a database, each with what it shows.
func (s *server) caches(db string) (all []string) {
	s.site.t.Helper()
	for _, kind := range []string{"last_cache", "distinct_cache"} {
		for _, r := range s.query(db, "SELECT * EXCLUDE (database) FROM system."+kind+"s ORDER BY ALL") {
			all = append(all, fmt.Sprint(kind, r))
			all = append(all, s.texts(db, fmt.Sprintf("SELECT * FROM %s('%s', '%s') ORDER BY ALL", kind, r["table"], r["name"]))...)
		}
	}
	return all
}

// rollups are their definitions: how much is stored of them changes in the background.
func (o owned) rollups() (all []string) {
	o.site.t.Helper()
	rows, err := csv.NewReader(strings.NewReader(o.run("rollup", "list", "--format", "csv"))).ReadAll()
	if err != nil || len(rows) == 0 {
		o.site.t.Fatal(rows, err)
	}
	definition := 1 + slices.Index(rows[0], "retention_period")
	for _, row := range rows {
		all = append(all, strings.Join(row[:definition], ","))
	}
	return all
}

// furnish makes some of everything that a server can hold.
func (o owned) furnish(rng *rand.Rand) {
	o.run("create", "database", "kept", "--retention-period", "100y")
	o.run("create", "token", "--name", "sensors", "--permission", "db:kept:write")
	o.run("create", "datasource", "--project", "shop", "--datasource", "web")
	o.write("kept", "m,k=a v=1 1\nm,k=b s=\"\",u=18446744073709551615u,b=true 1700000000000000000\ngone v=1 1\n")
	o.run("update", "table", "m", "-d", "kept", "--retention-period", "90y")
	o.run("delete", "table", "gone", "-d", "kept", "--yes")
	o.write("dropped", "m v=1 1\n")
	o.run("delete", "database", "dropped", "--yes")
	o.writeCPU(rng, 3000)
	o.run("rollup", "create", "cpu_5m", "-d", "db", "--source", "cpu", "--interval", "5m", "--aggregates", "mean,max,count,sum,last", "--wait")
	o.run("rollup", "create", "cpu_1h", "-d", "db", "--source", "cpu", "--interval", "1h", "--aggregate", "count(usage) AS c", "--aggregate", "min(usage) AS low",
		"--tags", "region", "--retention-period", "100y")
	o.run("create", "last_cache", "-d", "db", "-t", "cpu", "--key-columns", "host", "--value-columns", "usage", "--count", "2", "--ttl", "876000h", "newest")
	o.run("create", "distinct_cache", "-d", "db", "-t", "cpu", "--columns", "region,host", "--max-age", "876000h", "places")
	o.run("create", "last_cache", "-d", "kept", "-t", "m")
	o.run("create", "distinct_cache", "-d", "kept", "-t", "m", "--columns", "k", "gone")
	o.run("delete", "distinct_cache", "-d", "kept", "-t", "m", "gone")
	o.flush()
	o.deleteCPU(rng) // of rows in files
	o.writeCPU(rng, 300)
	o.deleteCPU(rng) // also of rows in memory
	o.writeCPU(rng, 300)
}

// TestRestoreBringsEverythingBack: rows, overwritten and deleted ones, rollups, caches, retention periods, tokens, datasources
// and what is deleted are in the restored server as they were, and it goes on from there. So does a database that
// comes back under another name.
func TestRestoreBringsEverythingBack(t *testing.T) {
	drawn, rerun := drawnSeed(t, "")
	rng := rand.New(rand.NewPCG(drawn, 0))
	s := newSite(t)
	srv := s.startOwned("")
	srv.furnish(rng)
	srv.mustFollow(rerun)
	repository := filepath.Join(s.root, "repository")
	srv.run("backup", "create", "--to", repository)
	want := srv.everything()
	srv.writeCPU(rng, 100) // is not in it
	srv.kill()

	other := newSite(t)
	if out, said, status := s.command("backup", "restore", "--from", repository, "--data-dir", other.dataDir()); status != 0 {
		t.Fatalf("status %d: %s%s\n%s", status, out, said, rerun)
	}
	again := other.startOwned(srv.token)
	if d := gocmp.Diff(want, again.everything()); d != "" {
		t.Errorf("%s (-before +restored)\n%s", rerun, d)
	}
	again.mustFollow("restored, " + rerun)
	if _, said, status := other.command("show", "tokens", "--host", again.url, "--token", "apiv3_nobody"); status == 0 || !strings.Contains(said, "401") {
		t.Errorf("a stranger is answered with status %d: %s", status, said)
	}
	again.writeCPU(rng, 300)
	again.deleteCPU(rng)
	again.run("compact", "--wait")
	again.mustFollow("restored, and gone on, " + rerun)

	again.run("backup", "restore", "--from", repository, "--database", "db", "--as", "copy")
	if d := gocmp.Diff(want["rows of db"], again.rows("copy")); d != "" {
		t.Errorf("%s (-before +restored under another name)\n%s", rerun, d)
	}
	if d := gocmp.Diff(want["caches of db"], again.caches("copy")); d != "" {
		t.Errorf("caches, %s (-before +restored under another name)\n%s", rerun, d)
	}
	again.stop()
	other.mustBeSound("at last")
}

// objects are the files below a directory.
func objects(t *testing.T, dir string) map[string]fs.FileInfo {
	t.Helper()
	all := make(map[string]fs.FileInfo)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		all[path], err = d.Info()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestSecondBackupWritesOnlyNewFiles compares the bytes of a repository before and after: what was there is not
// touched, and what is new are the files of new rows.
func TestSecondBackupWritesOnlyNewFiles(t *testing.T) {
	s := newSite(t)
	srv := s.start("--compaction=off")
	var body strings.Builder
	for n := range 20_000 {
		fmt.Fprintf(&body, "m,k=%d v=%d,s=\"%x\" %d\n", n%7, n, uint64(n)*0x9e3779b97f4a7c15, n)
	}
	srv.write("db", body.String())
	repository := filepath.Join(s.root, "repository")
	create := func() (newFiles int, newBytes int64) {
		t.Helper()
		out, said, status := s.command("backup", "create", "--host", srv.url, "--to", repository, "--format", "json")
		var made struct {
			Backup struct {
				Files int   `json:"new_files"`
				Bytes int64 `json:"new_bytes"`
			} `json:"backup"`
		}
		if err := json.Unmarshal([]byte(out), &made); err != nil || status != 0 {
			t.Fatalf("status %d: %s%s", status, out, said)
		}
		return made.Backup.Files, made.Backup.Bytes
	}
	_, firstBytes := create()
	before := objects(t, repository)
	if files, bytes := create(); files != 0 || bytes != 0 {
		t.Errorf("a backup of nothing new copied %d files, %d bytes", files, bytes)
	}
	srv.write("db", "m,k=1 v=-1 1\nother v=1 1\n")
	files, bytes := create()
	after, added := objects(t, repository), int64(0)
	for path, info := range after {
		old, was := before[path]
		switch {
		case was && (!os.SameFile(old, info) || old.ModTime() != info.ModTime() || old.Size() != info.Size()) && filepath.Base(path) != "LOCK":
			t.Errorf("%s was written again", path)
		case !was && filepath.Ext(path) == ".parquet":
			added += info.Size()
		}
	}
	if files != 2 || bytes != added || bytes > 10_000 || firstBytes < 100_000 {
		t.Errorf("of a table of %d bytes and two new rows %d files with %d bytes were copied, %d are new on the disk", firstBytes, files, bytes, added)
	}
	for path := range before {
		if after[path] == nil {
			t.Errorf("%s is gone", path)
		}
	}
}
