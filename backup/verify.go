package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/catalog"
	"github.com/siltstone-db/siltstone/persist"
	"github.com/siltstone-db/siltstone/schema"
)

// VerifyOptions say what is verified. Store is required.
type VerifyOptions struct {
	Store Store
	// ID is the backup; empty is all of them.
	ID string
	// TempDir is where files of a store that is no directory are copied to, one at a time; empty is
	// the system's.
	TempDir string
	// Progress is told now and then how many bytes of all were read; nil is nobody.
	Progress func(done, total int64, what string)
}

// VerifyReport is what was read and found.
type VerifyReport struct {
	Backups int      `json:"backups"`
	Files   int      `json:"files"` // each once
	Rows    uint64   `json:"rows"`
	Bytes   int64    `json:"bytes"`
	Damage  []Damage `json:"damage"`
}

// Damage is an object that is missing or not what was written, and what that means.
type Damage struct {
	Object string `json:"object"`
	What   string `json:"what"`
	// Backups are those that cannot be restored for it.
	Backups []string `json:"backups"`
}

// Verify reads backups: all bytes are compared with their checksums, and all values of the files
// with what is known of them. The errors are those of the store; damage is in the report.
func Verify(ctx context.Context, o VerifyOptions) (*VerifyReport, error) {
	if o.Progress == nil {
		o.Progress = func(_, _ int64, _ string) {}
	}
	if err := beRepository(ctx, o.Store, false); err != nil {
		return nil, err
	}
	v := &verification{VerifyOptions: o, files: make(map[string]*toVerify)}
	if err := v.plan(ctx); err != nil {
		return nil, err
	}
	for _, name := range v.order {
		if err := v.verify(ctx, name, v.files[name]); err != nil {
			return nil, err
		}
	}
	return &v.report, nil
}

// toVerify is a file, and who needs it.
type toVerify struct {
	file    *schema.File
	columns []schema.Column
	backups []string
}

// verification is the state of one Verify.
type verification struct {
	VerifyOptions
	report      VerifyReport
	files       map[string]*toVerify
	order       []string
	done, total int64
}

func (v *verification) damaged(object string, err error, backups ...string) {
	v.report.Damage = append(v.report.Damage, Damage{Object: object, What: err.Error(), Backups: backups})
}

// plan reads manifests and images.
func (v *verification) plan(ctx context.Context) error {
	if v.ID != "" {
		m, err := Find(ctx, v.Store, v.ID)
		if errors.Is(err, ErrDamaged) {
			v.damaged(manifestsDir+v.ID+manifestExt, err, v.ID)
			return nil
		}
		if err != nil {
			return err
		}
		return v.add(ctx, m)
	}
	all, damaged, err := List(ctx, v.Store)
	if err != nil {
		return err
	}
	for object, err := range damaged {
		v.damaged(object, err, strings.TrimSuffix(path.Base(object), manifestExt))
	}
	for _, m := range all {
		if err := v.add(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) add(ctx context.Context, m *Manifest) error {
	v.report.Backups++
	image, err := readCatalog(ctx, v.Store, m)
	if errors.Is(err, ErrDamaged) {
		v.damaged(m.catalog(), err, m.ID)
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range image.Files {
		name := FileObject(m.Instance, f)
		known := v.files[name]
		if known == nil {
			known = &toVerify{file: f}
			v.files[name] = known
			v.order = append(v.order, name)
			v.total += int64(f.Bytes)
		}
		known.backups = append(known.backups, m.ID)
		known.columns = columnsOf(image, f) // those of a later backup are more
	}
	return nil
}

func columnsOf(image *catalog.Image, f *schema.File) []schema.Column {
	if t, ok := image.Schema.TableByID(f.Table); ok {
		return t.Columns
	}
	return nil
}

// verify reads a file.
func (v *verification) verify(ctx context.Context, name string, f *toVerify) error {
	v.report.Files++
	v.report.Rows += f.file.Rows
	err := v.withFile(ctx, name, f, func(fs vfs.FS, file string) error {
		if err := persist.Verify(fs, file, f.file); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if err := persist.VerifyRows(fs, file, f.file, f.columns); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil
	})
	v.done += int64(f.file.Bytes)
	v.report.Bytes += int64(f.file.Bytes)
	v.Progress(v.done, v.total, name)
	if errors.Is(err, ErrDamaged) {
		v.damaged(name, err, f.backups...)
		err = nil
	}
	return errors.Join(err, ctx.Err())
}

// withFile calls use with a file that can be read at any place.
func (v *verification) withFile(ctx context.Context, name string, f *toVerify, use func(fs vfs.FS, file string) error) error {
	if d, ok := v.Store.(*Dir); ok {
		return use(d.fs, d.Path(name))
	}
	in, err := v.Store.Get(ctx, name)
	if errors.Is(err, ErrNoObject) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was read, or not
	copied, err := os.CreateTemp(v.TempDir, "siltstone-verify-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(copied.Name()) }()
	_, err = io.CopyBuffer(copied, newFileReader(in, name, f.file), make([]byte, copyBytes))
	if err = errors.Join(err, copied.Close()); err != nil {
		return err
	}
	return use(vfs.Default, copied.Name())
}
