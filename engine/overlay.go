package engine

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Overlay returns a file system that shows a directory of another one, and keeps all
// changes to itself, in memory. What would become of the directory can be found out with
// it: by opening it, or by a salvage. Only the lock is taken in the directory itself.
// Nothing outside the directory is there.
func Overlay(base vfs.FS, dir string) (vfs.FS, error) {
	o := &overlay{FS: base, mem: vfs.NewMem()}
	o.mu.nodes = map[string]overlayNode{"/": {isDir: true}, ".": {isDir: true}}
	for parent := path.Dir(path.Clean(dir)); parent != "/" && parent != "."; parent = path.Dir(parent) {
		o.mu.nodes[parent] = overlayNode{isDir: true}
	}
	if err := o.load(path.Clean(dir)); err != nil {
		return nil, fmt.Errorf("reading %s: %w", dir, err)
	}
	return o, nil
}

// overlay is a tree of names. What a name stands for is in the base or in memory, under
// a name of its own there, so that renaming moves no bytes.
type overlay struct {
	vfs.FS // the base; only its paths, lock and disk usage are used as they are
	mem    *vfs.MemFS

	mu struct {
		sync.Mutex
		nodes map[string]overlayNode
		made  int // files in memory
	}
}

type overlayNode struct {
	isDir  bool
	inBase string // the file in the base, "" if there is none
	inMem  string
}

// load takes over a directory of the base.
func (o *overlay) load(dir string) error {
	names, err := o.FS.List(dir)
	if err != nil {
		return err
	}
	o.mu.nodes[dir] = overlayNode{isDir: true}
	for _, name := range names {
		file := path.Join(dir, name)
		info, err := o.FS.Stat(file)
		if err != nil {
			return err
		}
		if info.IsDir() {
			err = o.load(file)
		} else {
			o.mu.nodes[file] = overlayNode{inBase: file}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func notExist(op, name string) error { return &os.PathError{Op: op, Path: name, Err: iofs.ErrNotExist} }

// makeLocked puts an empty file in memory under the name; mu is held.
func (o *overlay) makeLocked(name string) (overlayNode, error) {
	if !o.mu.nodes[path.Dir(name)].isDir {
		return overlayNode{}, notExist("create", name)
	}
	o.mu.made++
	n := overlayNode{inMem: fmt.Sprint("/", o.mu.made)}
	o.mu.nodes[name] = n
	return n, nil
}

func (o *overlay) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.makeLocked(path.Clean(name))
	if err != nil {
		return nil, err
	}
	return o.mem.Create(n.inMem, c)
}

func (o *overlay) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	o.mu.Lock()
	n, ok := o.mu.nodes[path.Clean(name)]
	o.mu.Unlock()
	switch {
	case !ok:
		return nil, notExist("open", name)
	case n.isDir:
		return o.mem.OpenDir("/")
	case n.inMem != "":
		return o.mem.Open(n.inMem, opts...)
	}
	return o.FS.Open(n.inBase, opts...)
}

// OpenReadWrite copies a file of the base into memory.
func (o *overlay) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	name = path.Clean(name)
	old, exists := o.mu.nodes[name]
	if old.inMem != "" {
		return o.mem.OpenReadWrite(old.inMem, c, opts...)
	}
	n, err := o.makeLocked(name)
	if err == nil && exists {
		err = o.copy(old.inBase, n.inMem)
	}
	if err != nil {
		return nil, err
	}
	return o.mem.OpenReadWrite(n.inMem, c, opts...)
}

func (o *overlay) copy(from, to string) error {
	src, err := o.FS.Open(from)
	if err != nil {
		return err
	}
	dst, err := o.mem.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return errors.Join(err, src.Close())
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, src.Close(), dst.Close())
}

func (o *overlay) OpenDir(name string) (vfs.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.mu.nodes[path.Clean(name)].isDir {
		return nil, notExist("open", name)
	}
	return o.mem.OpenDir("/")
}

func (o *overlay) Remove(name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	name = path.Clean(name)
	if _, ok := o.mu.nodes[name]; !ok {
		return notExist("remove", name)
	}
	delete(o.mu.nodes, name)
	return nil
}

func (o *overlay) RemoveAll(name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	name = path.Clean(name)
	maps.DeleteFunc(o.mu.nodes, func(file string, _ overlayNode) bool { return isBelow(file, name) })
	return nil
}

func isBelow(file, dir string) bool { return file == dir || strings.HasPrefix(file, dir+"/") }

func (o *overlay) Rename(oldname, newname string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	oldname, newname = path.Clean(oldname), path.Clean(newname)
	if _, ok := o.mu.nodes[oldname]; !ok || !o.mu.nodes[path.Dir(newname)].isDir {
		return notExist("rename", oldname)
	}
	for _, file := range slices.Collect(maps.Keys(o.mu.nodes)) {
		if isBelow(file, oldname) {
			o.mu.nodes[newname+strings.TrimPrefix(file, oldname)] = o.mu.nodes[file]
			delete(o.mu.nodes, file)
		}
	}
	return nil
}

func (o *overlay) Link(oldname, newname string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, ok := o.mu.nodes[path.Clean(oldname)]
	if !ok {
		return notExist("link", oldname)
	}
	o.mu.nodes[path.Clean(newname)] = n
	return nil
}

func (o *overlay) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := o.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return o.OpenReadWrite(newname, c)
}

func (o *overlay) MkdirAll(dir string, _ os.FileMode) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for dir = path.Clean(dir); !o.mu.nodes[dir].isDir; dir = path.Dir(dir) {
		o.mu.nodes[dir] = overlayNode{isDir: true}
	}
	return nil
}

// Lock takes a lock in the base. Those of directories that are in memory, or that somebody
// else has in the base, are not needed.
func (o *overlay) Lock(name string) (io.Closer, error) {
	if path.Base(path.Dir(name)) == catalogDir || strings.HasPrefix(path.Base(path.Dir(name)), catalogDir+".") {
		return io.NopCloser(nil), nil
	}
	return o.FS.Lock(name)
}

func (o *overlay) List(dir string) ([]string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	dir = path.Clean(dir)
	if !o.mu.nodes[dir].isDir {
		return nil, notExist("open", dir)
	}
	var names []string
	for file := range o.mu.nodes {
		if file != dir && path.Dir(file) == dir {
			names = append(names, path.Base(file))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (o *overlay) Stat(name string) (vfs.FileInfo, error) {
	o.mu.Lock()
	n, ok := o.mu.nodes[path.Clean(name)]
	o.mu.Unlock()
	switch {
	case !ok:
		return nil, notExist("stat", name)
	case n.isDir:
		return o.mem.Stat("/")
	case n.inMem != "":
		return o.mem.Stat(n.inMem)
	}
	return o.FS.Stat(n.inBase)
}

func (o *overlay) Unwrap() vfs.FS { return nil }
