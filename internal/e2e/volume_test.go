//go:build duckdb_arrow && linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// fileSystem is a kind of real file system.
type fileSystem struct {
	name    string
	mkfs    []string
	mount   string // options beside loop
	journal bool
}

var fileSystems = []fileSystem{
	{"ext4", []string{"mkfs.ext4", "-q", "-F", "-m", "0"}, "", true},
	{"ext4 that commits each second", []string{"mkfs.ext4", "-q", "-F", "-m", "0"}, "commit=1", true},
	{"ext4 without journal", []string{"mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal"}, "", false},
	{"xfs", []string{"mkfs.xfs", "-q", "-f"}, "", true},
}

// volume is a file system of its own in a file, mounted through a loop device.
type volume struct {
	t            *testing.T
	kind         fileSystem
	image, point string
}

// newVolume makes one of so many MB, with its image in a directory, and skips the test
// where that cannot be done.
func newVolume(t *testing.T, kind fileSystem, dir string, megabytes int) *volume {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system takes root")
	}
	if _, err := exec.LookPath(kind.mkfs[0]); err != nil {
		t.Skipf("%s is not installed", kind.mkfs[0])
	}
	v := &volume{t: t, kind: kind, image: filepath.Join(dir, "image"), point: filepath.Join(dir, "volume")}
	if err := os.WriteFile(v.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(v.image, int64(megabytes)<<20); err != nil {
		t.Fatal(err)
	}
	v.run(append(kind.mkfs, v.image)...)
	if err := os.Mkdir(v.point, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", v.mountArguments()...).CombinedOutput(); err != nil {
		t.Skipf("this machine does not mount %s from a file: %s", kind.name, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", v.point).Run() }) // it may be unmounted
	return v
}

func (v *volume) mountArguments() []string {
	options := "loop"
	if v.kind.mount != "" {
		options += "," + v.kind.mount
	}
	return []string{"-o", options, v.image, v.point}
}

func (v *volume) run(command ...string) {
	v.t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		v.t.Fatalf("%v: %v\n%s", command, err, out)
	}
}

func (v *volume) dataDir() string { return filepath.Join(v.point, "data") }

// mount makes the volume appear again after its power was cut or it was unmounted. Without
// a journal it is a check that makes it consistent.
func (v *volume) mount() {
	v.t.Helper()
	if !v.kind.journal {
		_ = exec.Command("e2fsck", "-fy", v.image).Run() // its status is that something was mended
	}
	v.run(append([]string{"mount"}, v.mountArguments()...)...)
}

func (v *volume) unmount() {
	v.t.Helper()
	v.run("umount", v.point)
}

// The ioctl that shuts a file system down, and its argument that drops everything the
// device does not have yet, the journal included: what cutting the power does.
const (
	ioctlShutdown     = 0x8004587d
	shutdownNoLogSync = 2
)

// cutPower lets nothing reach the device any more. All later calls fail.
func (v *volume) cutPower() error {
	f, err := os.Open(v.point)
	if err != nil {
		return fmt.Errorf("cutting the power: %w", err)
	}
	defer f.Close()
	how := uint32(shutdownNoLogSync)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), ioctlShutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		return fmt.Errorf("cutting the power of %s: %w", v.kind.name, errno)
	}
	return nil
}

// mustForget makes sure that a cut takes what was not synced, and only that.
func (v *volume) mustForget() {
	v.t.Helper()
	synced, unsynced := filepath.Join(v.point, "synced"), filepath.Join(v.point, "unsynced")
	f, err := os.Create(synced)
	if err == nil {
		_, err = f.WriteString("durable")
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		v.t.Fatal(err)
	}
	f.Close()
	d, err := os.Open(v.point)
	if err == nil {
		err = d.Sync()
	}
	if err != nil {
		v.t.Fatal(err)
	}
	d.Close()
	if err := os.WriteFile(unsynced, []byte("lost"), 0o600); err != nil {
		v.t.Fatal(err)
	}
	if err := v.cutPower(); err != nil {
		v.t.Fatal(err)
	}
	v.unmount()
	v.mount()
	if text, err := os.ReadFile(synced); err != nil || string(text) != "durable" {
		v.t.Fatalf("a synced file reads %q, %v after the cut", text, err)
	}
	if text, err := os.ReadFile(unsynced); err == nil && len(text) > 0 {
		v.t.Fatalf("a file that was not synced reads %q after the cut: it was none", text)
	}
	if err := os.Remove(synced); err != nil {
		v.t.Fatal(err)
	}
}

// device is the loop device of the volume, as major:minor.
func (v *volume) device() string {
	v.t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(v.point, &st); err != nil {
		v.t.Fatal(err)
	}
	return fmt.Sprintf("%d:%d", st.Dev>>8&0xfff, st.Dev&0xff|st.Dev>>12&0xfff00)
}

// mountTmpfs mounts memory of a fixed size at a directory.
func mountTmpfs(t *testing.T, dir, options string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a file system takes root")
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("this machine does not mount a tmpfs: %s", strings.TrimSpace(string(out)))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %s", dir, out)
		}
	})
}
