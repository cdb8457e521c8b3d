package main

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestUsageIsSplitBetweenServerClientAndOthers(t *testing.T) {
	begin := usage{at: time.Unix(100, 0), server: 10, client: 1, machine: 1000}
	end := usage{at: time.Unix(104, 0), server: 13, client: 1.5, machine: 1005}
	want := spent{Wall: 4, Server: 3, Client: 0.5, Other: 1.5}
	if got := end.since(begin); got != want {
		t.Errorf("spent %+v, want %+v", got, want)
	}
	// The counters are read one after the other, so that the rest can be negative.
	end.machine = 1003
	if got := end.since(begin).Other; got != 0 {
		t.Errorf("others spent %g, want 0", got)
	}
}

func TestThisProcessCanBeAccounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("accounting needs /proc")
	}
	u, err := account(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if u.client != 0 || u.machine < u.server {
		t.Errorf("usage is %+v: the process under test is the client, and no more than the machine", u)
	}
	memory, err := peakMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if memory < mib {
		t.Errorf("peak memory is %d bytes", memory)
	}
	if _, err := processCPU("0"); err == nil {
		t.Error("process 0 has CPU time")
	}
}

func TestFieldsOfProcAreFoundByTheirKey(t *testing.T) {
	const status = "Name:\tx\nVmPeak:\t  900 kB\nVmHWM:\t  12345 kB\nVmEmpty:\n"
	if got, err := field(status, "VmHWM:"); err != nil || got != 12345 {
		t.Errorf("VmHWM is %d, %v", got, err)
	}
	for _, key := range []string{"VmEmpty:", "VmNone:", "Name:"} {
		if got, err := field(status, key); err == nil {
			t.Errorf("%s is %d", key, got)
		}
	}
}

func TestFileSystemIsThatOfTheLongestMountPoint(t *testing.T) {
	const mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/disk xfs rw 0 0\nshort\n"
	for dir, want := range map[string]string{
		"/": "ext4", "/home/x": "ext4", "/tmp": "tmpfs", "/tmp/x": "tmpfs",
		"/tmp/disk/x": "xfs", "/tmp/disks": "tmpfs", "/tmpfoo": "ext4",
	} {
		if got := fileSystem(mounts, dir); got != want {
			t.Errorf("%s is on %s, want %s", dir, got, want)
		}
	}
}
