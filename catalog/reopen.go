package catalog

import (
	"errors"
	"fmt"
)

// Reopen makes a catalog that failed for lack of space take changes again, when there is
// space by now: it closes Pebble behind its fence, opens another one over the directory,
// and reads what is there, as Open does. Readers go on meanwhile with what was there
// before, and what they hold stays right. The change that was in doubt is then there whole
// or not at all, in every picture that is taken afterwards; the caller finds out which.
//
// It does nothing where the catalog has not failed. The errors are ErrNoSpace as long as
// there is no space, ErrFailed if something else failed, now or before, *CorruptError, and
// ErrClosed. With any of them the catalog stays as it was, failed. ErrNoSpace says, too,
// that a Check is just ending, to which the old Pebble is left.
func (c *Catalog) Reopen() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events.Lock()
	defer c.events.Unlock()
	err := c.usableLocked()
	if err == nil || !errors.Is(err, ErrNoSpace) {
		return err
	}
	if !c.checking.TryLock() { // it ends soon: the fence is closed
		return &noSpaceError{errChecking}
	}
	defer c.checking.Unlock()
	// What Close reports is about what does not reach the disk any more.
	_ = c.store.close()
	s, l, err := c.openAgain()
	if err != nil {
		return c.failLocked(err)
	}
	c.keepIdentity(l)
	c.showLocked(s, l)
	return nil
}

var errChecking = errors.New("a check still reads what is there")

// openAgain opens another store and loads it.
func (c *Catalog) openAgain() (*store, *loader, error) {
	s, err := openStore(&c.opts)
	if err != nil {
		return nil, nil, err
	}
	l, err := load(s, c.opts.Dir)
	if err == nil && l.header.instance != c.instance {
		err = fmt.Errorf("catalog %s is another one now: its instance is %s, and was %s", c.opts.Dir, l.header.instance, c.instance)
	}
	if err == nil {
		err = startRun(s, l, c.now())
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.close())
	}
	return s, l, nil
}

// failLocked notes why the catalog could not be opened again. Lack of space is noted
// already; anything else ends the attempts. mu and events are held.
func (c *Catalog) failLocked(err error) error {
	if errors.Is(err, ErrNoSpace) {
		return err
	}
	f := newFence(c.opts.Logger)
	f.fail(err)
	c.store.fence = f
	c.fence.Store(f)
	return f.err()
}

// keepIdentity makes what was loaded a successor of what is shown: whoever remembers
// names looks them up again, and descriptions of files that were there before are shared.
func (c *Catalog) keepIdentity(l *loader) {
	l.snapshot = l.snapshot.After(c.schema.Load())
	for i, f := range l.files {
		if have := c.mu.byID[f.ID]; have != nil {
			l.files[i] = have
		}
	}
}
