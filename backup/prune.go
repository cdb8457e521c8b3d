package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// pruneGrace is how young an object may be that is left alone although no manifest names it:
// it may be of a backup under way, where the store cannot lock.
const pruneGrace = 24 * time.Hour

// Pruned is what a Prune removed.
type Pruned struct {
	Backups []string `json:"backups"`
	Objects int      `json:"objects"` // files and images
	Bytes   int64    `json:"bytes"`   // of them
}

// Prune removes all backups but the newest keep, and then what no backup needs any more. It
// removes nothing if a manifest or an image cannot be read: what it names is not known. The
// errors are ErrNoRepository, ErrDamaged and those of the store.
func Prune(ctx context.Context, s Store, keep int) (pruned *Pruned, err error) {
	if keep < 1 {
		return nil, fmt.Errorf("at least one backup is to be kept, not %d", keep)
	}
	if err := beRepository(ctx, s, false); err != nil {
		return nil, err
	}
	lock, err := s.Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	all, damaged, err := List(ctx, s)
	if err != nil {
		return nil, err
	}
	for name, err := range damaged {
		return nil, fmt.Errorf("nothing was removed: %s cannot be read, and what it names is not known; remove it if it is of no use: %w", name, err)
	}
	kept := all[max(0, len(all)-keep):]
	named, err := namedBy(ctx, s, kept)
	if err != nil {
		return nil, fmt.Errorf("nothing was removed: %w", err)
	}
	pruned = &Pruned{Backups: []string{}}
	for _, m := range all[:len(all)-len(kept)] {
		if err := s.Remove(ctx, m.object()); err != nil {
			return pruned, err
		}
		pruned.Backups = append(pruned.Backups, m.ID)
	}
	return pruned, pruned.removeUnnamed(ctx, s, named)
}

// namedBy returns the objects that backups need.
func namedBy(ctx context.Context, s Store, backups []*Manifest) (map[string]bool, error) {
	named := make(map[string]bool)
	for _, m := range backups {
		image, err := readCatalog(ctx, s, m)
		if err != nil {
			return nil, err
		}
		named[m.catalog()] = true
		for _, f := range image.Files {
			named[FileObject(m.Instance, f)] = true
		}
	}
	return named, nil
}

func (p *Pruned) removeUnnamed(ctx context.Context, s Store, named map[string]bool) error {
	_, isLocked := s.(*Dir)
	var unnamed []Object
	for _, dir := range []string{filesDir, catalogsDir, manifestsDir} {
		err := s.List(ctx, dir, func(o Object) error {
			isOld := isLocked || time.Since(o.Modified) > pruneGrace
			if !named[o.Name] && isOld && (dir != manifestsDir || strings.HasSuffix(o.Name, tempSuffix)) {
				unnamed = append(unnamed, o)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, o := range unnamed {
		if err := s.Remove(ctx, o.Name); err != nil {
			return err
		}
		p.Objects++
		p.Bytes += o.Bytes
	}
	return s.Sweep(ctx, time.Now().Add(-pruneGrace))
}
