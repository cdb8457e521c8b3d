//go:build duckdb_arrow

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

// hostileNames are names that have led elsewhere in some system.
var hostileNames = []string{
	"..", "../x", "../../../../tmp/siltstone-escaped", "/etc/passwd", "/tmp/siltstone-escaped", "/dev/null", `..\x`, `C:\x`, "CON", "aux.txt", ".", "~", "~root",
	"%00", "%2e%2e%2f", "a%00b", "a\x00b", "a\nb", "a\rb", "a\tb", "a\r\nb", "\x7f", "\x1b[2J", "\u2028", "\u200b", "\ufeffm", "\u202egpj.exe", "e\u0301", "é", "😀", "👩‍👩‍👧", "اسم", "\xff\xfe", "a\xc3", "\xed\xa0\x80",
	`"`, `""`, `'`, "`", `a"b`, `a'b`, "a;DROP TABLE x", "x' OR '1'='1", "--", "/*", "*/", "#x", "a=b", "a,b", "a b", " ", "  x", `a\b`, `\\server\share`, `a\,b`, `a\"b`,
	"$1", "$(id)", "${HOME}", "{{7*7}}", "%s%n", "<script>", "[x]", "*", "?", "iox", "information_schema", "system", "public.iox.m", "siltstone_buffer", "main", "null", "true", "1", "-1", "1e9", "select", "_internal", "_measurement", "_field",
	strings.Repeat("x", 300), strings.Repeat("ü", 5_000), strings.Repeat("y", 65_000), strings.Repeat("z", 70_000), strings.Repeat(`\ `, 1000) + "x",
}

// escapeName writes a name as line protocol wants it.
func escapeName(name string) string {
	return strings.NewReplacer(",", `\,`, " ", `\ `, "=", `\=`).Replace(name)
}

// escapeTable does so for a table, where an equals sign is not escaped.
func escapeTable(name string) string { return strings.NewReplacer(",", `\,`, " ", `\ `).Replace(name) }

// sqlText writes a text as an SQL literal.
func sqlText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// TestHostileNames: each is found again exactly as it was written, in buffers and in files, or is refused
// with a reason. None of them names a file.
func TestHostileNames(t *testing.T) {
	site := newSite(t)
	srv := site.start()
	traced := srv.traceFiles()
	kept := make(map[string][]string) // the names that were accepted, by place
	shown := make(map[string]bool)
	refused := 0
	for i, name := range hostileNames {
		own := fmt.Sprintf("t%d", i)
		for place, line := range map[string]string{
			"table":     escapeTable(name) + ",own=" + own + " v=1i 1",
			"tag key":   own + "a," + escapeName(name) + "=x v=1i 1",
			"tag value": own + "b,tag=" + escapeName(name) + " v=1i 1",
			"field key": own + "c,tag=x " + escapeName(name) + "=1i 1",
			"string":    own + `d,tag=x s="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `" 1`,
		} {
			a, err := srv.post("names", []byte(line))
			switch {
			case err != nil:
				t.Fatalf("%s %.50q: %v", place, name, err)
			case a.status == http.StatusNoContent:
				kept[place] = append(kept[place], name)
			case a.status != http.StatusBadRequest && a.status != http.StatusUnprocessableEntity:
				t.Errorf("%s %.50q is answered %d %.300s", place, name, a.status, a.body)
			case place == "table" && strings.HasPrefix(name, "#"): // a comment, and so an empty body
				refused++
			case !json.Valid([]byte(a.body)) || !strings.Contains(a.body, "line"):
				t.Errorf("%s %.50q is refused without a line: %.300s", place, name, a.body)
			default:
				refused++
			}
		}
	}
	for _, state := range []string{"buffers", "files"} {
		if state == "files" {
			srv.flush()
		}
		for _, name := range srv.measurements("names") {
			shown[name] = true
		}
		for i, name := range hostileNames {
			srv.findName(state, fmt.Sprintf("t%d", i), name, kept)
			if slices.Contains(kept["table"], name) && !shown[name] {
				t.Errorf("SHOW MEASUREMENTS lacks %.50q", name)
			}
		}
	}
	t.Logf("%d names, %d of %d lines are refused", len(hostileNames), refused, 5*len(hostileNames))
	srv.hostilePaths()
	srv.stop()
	site.checkFiles(t)
	traced(t)
	if _, err := os.Stat("/tmp/siltstone-escaped"); err == nil {
		t.Error("a file was made outside of the data directory")
	}
}

// findName asks for one name wherever it was accepted.
func (s *server) findName(state, own, name string, kept map[string][]string) {
	t := s.site.t
	t.Helper()
	for place, sql := range map[string]string{
		"table":     "SELECT count(*) AS n FROM " + quoteName(name) + " WHERE own = " + sqlText(own),
		"tag key":   "SELECT count(*) AS n FROM " + own + "a WHERE " + quoteName(name) + " = 'x'",
		"tag value": "SELECT count(*) AS n FROM " + own + "b WHERE tag = " + sqlText(name),
		"field key": "SELECT count(*) AS n FROM " + own + "c WHERE " + quoteName(name) + " = 1",
		"string":    "SELECT count(*) AS n FROM " + own + "d WHERE s = " + sqlText(name),
	} {
		if !slices.Contains(kept[place], name) {
			continue
		}
		if !utf8.ValidString(name) {
			t.Errorf("%s %q was accepted, which is no UTF-8", place, name)
			continue
		}
		rows, err := s.ask("names", sql)
		if err != nil || rows[0].number("n") != 1 {
			t.Errorf("in %s, %s %.50q: %v %.200v", state, place, name, rows, err)
		}
	}
}

// measurements are what InfluxQL says.
func (s *server) measurements(db string) []string {
	s.site.t.Helper()
	a, err := s.do(http.MethodGet, "/query", url.Values{"db": {db}, "q": {"SHOW MEASUREMENTS"}}, nil)
	var said struct {
		Results []struct {
			Series []struct{ Values [][]string }
		}
	}
	if err == nil {
		err = json.Unmarshal([]byte(a.body), &said)
	}
	if err != nil || len(said.Results) != 1 || len(said.Results[0].Series) != 1 {
		s.site.t.Fatalf("SHOW MEASUREMENTS: %v %.300s", err, a.body)
	}
	var names []string
	for _, v := range said.Results[0].Series[0].Values {
		names = append(names, v[0])
	}
	return names
}

// hostilePaths names databases, tables, tokens and datasources so. Each is refused by a 4xx or taken; none
// is a fault of the server's.
func (s *server) hostilePaths() {
	t := s.site.t
	t.Helper()
	for _, name := range hostileNames {
		body := func(fields map[string]any) []byte {
			raw, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
		for what, ask := range map[string]func() (answer, error){
			"database written": func() (answer, error) { return s.post(name, []byte("m v=1 1")) },
			"database and policy": func() (answer, error) {
				return s.do(http.MethodPost, "/write", url.Values{"db": {"names"}, "rp": {name}}, []byte("m v=1 1"))
			},
			"bucket": func() (answer, error) {
				return s.do(http.MethodPost, "/api/v2/write", url.Values{"bucket": {name}, "org": {name}}, []byte("m v=1 1"))
			},
			"database made": func() (answer, error) {
				return s.do(http.MethodPost, "/api/v3/configure/database", nil, body(map[string]any{"db": name}), "Content-Type", "application/json")
			},
			"table made": func() (answer, error) {
				return s.do(http.MethodPost, "/api/v3/configure/table", nil, body(map[string]any{"db": "names", "table": name, "tags": []string{name}}), "Content-Type", "application/json")
			},
			"database asked": func() (answer, error) {
				return s.do(http.MethodGet, "/query", url.Values{"db": {name}, "q": {"SHOW MEASUREMENTS"}}, nil)
			},
			"datasource": func() (answer, error) {
				return s.do(http.MethodPost, "/api/v3/configure/datasource", nil, body(map[string]any{"project": name, "name": name}), "Content-Type", "application/json")
			},
			"path":  func() (answer, error) { return s.do(http.MethodGet, "/"+url.PathEscape(name), nil, nil) },
			"token": func() (answer, error) { return s.do(http.MethodGet, "/query", url.Values{"p": {name}}, nil) },
		} {
			a, err := ask()
			if err != nil || a.status >= 500 || a.status >= 300 && a.status < 400 {
				t.Errorf("%s %.50q: %v, %d %.300s", what, name, err, a.status, a.body)
			}
		}
	}
}

// ownName is what files and directories of ours are called.
var ownName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,60}$`)

// checkFiles finds files that are named after something a user said.
func (s *site) checkFiles(t *testing.T) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		files++
		for _, name := range hostileNames {
			if name != "system" && name != "." && len(name) > 2 && d.Name() == name {
				t.Errorf("%s has a user's name", path)
			}
		}
		if !ownName.MatchString(d.Name()) || !(d.IsDir() || d.Type().IsRegular()) {
			t.Errorf("%q is none of ours", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d files and directories", files)
}

// changing finds the path of a call that makes or changes a file.
var changing = regexp.MustCompile(`(?:openat|mkdirat|mkdir|rename|renameat|renameat2|unlinkat|symlinkat)\([^"]*"([^"]*)"(.*)`)

// traceFiles notes which files the server opens from now on, where strace can be used. The
// returned function checks that those it makes or changes are all below the site.
func (s *server) traceFiles() (check func(*testing.T)) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		s.site.t.Log("strace is missing; which files are opened is not looked at")
		return func(*testing.T) {}
	}
	out := filepath.Join(built.dir, "strace")
	cmd := exec.Command(strace, "-f", "-qq", "-s", "300", "-e", "trace=openat,mkdirat,mkdir,rename,renameat,renameat2,unlinkat,symlinkat", "-o", out, "-p", fmt.Sprint(s.cmd.Process.Pid))
	if err := cmd.Start(); err != nil {
		s.site.t.Fatal(err)
	}
	s.await("strace", func() bool {
		s.do(http.MethodPost, "/api/v3/flush", nil, nil)
		s.post("traced", []byte("m v=1 1"))
		info, err := os.Stat(out)
		if cmd.ProcessState != nil {
			return true
		}
		return err == nil && info.Size() > 0
	})
	return func(t *testing.T) {
		_ = cmd.Process.Signal(syscall.SIGINT) // it ends with the server anyway
		_ = cmd.Wait()
		f, err := os.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		calls := 0
		for lines := bufio.NewScanner(f); lines.Scan(); {
			m := changing.FindStringSubmatch(lines.Text())
			if m == nil {
				continue
			}
			calls++
			reads := strings.Contains(m[2], "O_RDONLY") && !strings.Contains(m[2], "O_CREAT")
			if !reads && !strings.HasPrefix(m[1], s.site.root) && m[1] != "/dev/null" {
				t.Errorf("outside: %s", lines.Text())
			}
		}
		t.Logf("%d calls that open, make or rename files", calls)
		if calls == 0 {
			t.Error("strace saw nothing")
		}
	}
}
