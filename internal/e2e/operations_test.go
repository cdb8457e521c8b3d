//go:build duckdb_arrow

package e2e

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// shellBlock finds the commands of a page.
var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// notHere are commands of docs/operations.md that need what a test does not have, and why.
var notHere = map[string]string{
	"ssh other": "needs another machine",
}

// TestCommandsOfTheOperationsGuide runs every command of docs/operations.md against a server, in their order.
// What it says of /backups is below the test's directory, its bucket is a store in this process, and the directory that
// no server uses is another one.
func TestCommandsOfTheOperationsGuide(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(repository, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	backend := s3mem.New()
	if err := backend.CreateBucket("company-backups"); err != nil {
		t.Fatal(err)
	}
	store := httptest.NewServer(gofakes3.New(backend).Server())
	defer store.Close()
	s, stopped := newSite(t), newSite(t)
	room := fmt.Sprintf("room,room=kitchen temp=21.5 %d\n", time.Now().UnixNano())
	other := stopped.start()
	other.write("home", room)
	other.stop()
	srv := s.start()
	repository := filepath.Join(s.root, "backups", "siltstone")
	if err := os.Mkdir(filepath.Dir(repository), 0o700); err != nil {
		t.Fatal(err)
	}
	backup, _ := s.create(t, srv, repository)
	here := strings.NewReplacer("/backups", filepath.Dir(repository), "20261122T020000.000Z", backup, "--data-dir ./data ", "--data-dir "+stopped.dataDir()+" ")
	run := func(command string) {
		t.Helper()
		cmd := exec.Command("bash", "-ec", here.Replace(command))
		cmd.Dir = s.root
		cmd.Env = append(plainEnvironment(), "SILTSTONE_HOST_URL="+srv.url, "PATH="+filepath.Dir(binary(t))+":"+os.Getenv("PATH"),
			"AWS_ENDPOINT_URL="+store.URL, "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=eu-central-1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
	commands := 0
	for _, block := range shellBlock.FindAllStringSubmatch(string(page), -1) {
		for command := range strings.Lines(block[1]) {
			if command = strings.TrimSpace(command); isHere(command) {
				run(command)
				if commands++; strings.HasPrefix(command, "siltstone create database home ") {
					srv.write("home", room)
				}
			}
		}
	}
	if commands < 20 {
		t.Errorf("the page has %d commands only", commands)
	}
	srv.stop()
	s.mustBeSound("after the commands")
}

func isHere(command string) bool {
	for part := range notHere {
		if strings.Contains(command, part) {
			return false
		}
	}
	return command != "" && !strings.HasPrefix(command, "#")
}
