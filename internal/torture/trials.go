package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
)

// buildTag is what everything that links DuckDB needs.
const buildTag = "duckdb_arrow"

// fuzzTime is how long each turn of a fuzz target takes.
const fuzzTime = "15s"

// trials are the tests, in the order in which they run.
var trials = []trial{
	{name: "kill", shows: "the server killed at random moments under load", pkg: "internal/e2e", run: "^TestKilledServerKeepsWhatItAcknowledged$", args: []string{"-rounds", "20"}, seeded: true},
	{name: "backup", shows: "clients, servers and restores killed in the middle of backups", pkg: "internal/e2e", run: "^TestKilledBackupsLeaveNothingHalfDone$", args: []string{"-rounds", "30"}, seeded: true},
	{name: "backup under load", shows: "backups while ten million rows are written, flushed and merged", pkg: "internal/e2e", run: "^TestBackupUnderLoad$", args: []string{"-backup-rows", "10000000"}},
	{name: "powercut", shows: "ext4 and XFS shut down under load", pkg: "internal/e2e", run: "^TestPowerLossOnRealFileSystems$", args: []string{"-rounds", "20"}, seeded: true},
	{name: "powerloss", shows: "random histories that lose power, recoveries included", pkg: "engine", run: "^TestPowerLoss$", args: []string{"-seeds", "400"}, seeded: true},
	{name: "model", shows: "writes, deletions, retention periods, merges and restarts against a map", pkg: "engine", run: "^TestDatabaseIsWhatAMapSays$", args: []string{"-models", "300"}, seeded: true},
	{name: "crash", shows: "a crash at every I/O call of a scenario", pkg: "engine", run: "^TestCrashAtEveryCall$", args: []string{"-stride", "1"}, seeded: true},
	{name: "fault", shows: "EIO and ENOSPC at every I/O call of a scenario", pkg: "engine", run: "^TestFaultAtEveryCall$", args: []string{"-stride", "3"}, seeded: true},
	{name: "fullload", shows: "a disk filled again and again under load, with power failures", pkg: "engine", run: "^TestFullDiskUnderLoadHeals$", seeded: true},
	{name: "fulldisk", shows: "real disks filled under load", pkg: "internal/e2e", run: "^(TestFullDiskHeals|TestFullDiskHealsWithoutARestart)$"},
	{name: "log", shows: "random histories of one log, with crashes and full disks", pkg: "wal", run: "^TestRandomWorkloadsSurviveCrashes$", args: []string{"-seeds", "4000"}, seeded: true},
	{name: "rot", shows: "every bit of a Parquet file flipped under queries, and every cut", pkg: "query", run: "^(TestFlippedBitIsFoundBeforeItIsRead|TestCutFileIsFoundBeforeItIsRead)$", args: []string{"-stride", "1"}},
	{name: "catalogfull", shows: "a disk that is full from every I/O call of a catalog on, and power cuts meanwhile", pkg: "catalog", run: "^TestFullDiskAtAnyOperationHeals$", args: []string{"-full-every", "1"}},
	{name: "catalogrot", shows: "bits of every file of a catalog flipped", pkg: "catalog", run: "^TestEveryFlippedBitIsRefusedOrHarmless$", args: []string{"-stride", "61"}},
	{name: "salvage", shows: "a salvage killed before each operation", pkg: "engine", run: "^TestSalvageMayBeKilledAnywhere$", args: []string{"-salvage-stride", "1"}},
	{name: "linear", shows: "histories of concurrent clients, with power failures and full disks, are linearizable", pkg: "engine", run: "^TestConcurrentHistoriesAreLinearizable$", args: []string{"-histories", "100"}, seeded: true},
	{name: "answers", shows: "what clients over HTTP are told, with kills, is linearizable", pkg: "internal/e2e", run: "^TestAnswersAreLinearizable$", args: []string{"-kills", "10"}, seeded: true},
	{name: "overload", shows: "more than can be stored, in small control groups", pkg: "internal/e2e", run: "^TestOverloadStaysWithinMemory$"},
	{name: "hostile", shows: "hostile clients of all kinds at once, beside good ones", pkg: "internal/e2e", run: "^TestEverythingAtOnce$", args: []string{"-idle", "5000", "-slow", "1000", "-hostile-for", "30s"}, seeded: true},
	{name: "events", shows: "events stored once, whatever crashes", pkg: "engine", run: "^TestEventsAreStoredOnceWheneverItCrashes$", args: []string{"-stride", "1"}, seeded: true},
}

// trial is a test, or a fuzz target, and how much of it one turn is.
type trial struct {
	name  string
	shows string // what it tries, for the table
	pkg   string // its package, relative to the module
	run   string // pattern of the tests
	args  []string
	// seeded trials take -seed.
	seeded bool
	fuzz   string // the fuzz target, instead of run and args
}

// choose returns the named trials, or all of them with every fuzz target of the module.
// "fuzz" names all of those.
func choose(all []trial, names []string) ([]trial, error) {
	targets, err := fuzzTargets(".")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return append(all[:len(all):len(all)], targets...), nil
	}
	var chosen []trial
	for _, name := range names {
		n := len(chosen)
		for _, t := range append(all[:len(all):len(all)], targets...) {
			if t.name == name || name == "fuzz" && t.fuzz != "" {
				chosen = append(chosen, t)
			}
		}
		if len(chosen) == n {
			return nil, fmt.Errorf("there is no trial %q; --list names them", name)
		}
	}
	return chosen, nil
}

func machine() string {
	model := "unknown processor"
	if text, err := exec.Command("grep", "-m1", "model name", "/proc/cpuinfo").Output(); err == nil {
		_, after, _ := bytes.Cut(text, []byte(":"))
		model = strings.TrimSpace(string(after))
	}
	return fmt.Sprintf("%d × %s, %s/%s, %s", runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH, runtime.Version())
}
