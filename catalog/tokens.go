package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/siltstone-db/siltstone/schema"
)

// maxTokenNameBytes keeps names short enough for lists and log lines.
const maxTokenNameBytes = 255

// Tokens returns every token by id. The slice is shared and must not be changed.
func (c *Catalog) Tokens() []*schema.Token { return *c.tokens.Load() }

// PutToken stores a token and returns it as stored. With ID 0 it is a new one, which
// gets the next id, and the present as Created where that is 0; otherwise it replaces
// the token with the id and keeps its Created. The errors are *ExistsError for a name
// that another token has, *NotFoundError for an id that no token has, ErrInvalidToken,
// ErrFailed and ErrClosed.
func (c *Catalog) PutToken(t schema.Token) (schema.Token, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usableLocked(); err != nil {
		return schema.Token{}, err
	}
	if err := checkToken(&t); err != nil {
		return schema.Token{}, err
	}
	before := c.Tokens()
	if i := slices.IndexFunc(before, tokenNamed(t.Name)); i >= 0 && before[i].ID != t.ID {
		return schema.Token{}, &ExistsError{ObjectToken, t.Name}
	}
	at := len(before)
	if t.ID != 0 {
		at = slices.IndexFunc(before, func(have *schema.Token) bool { return have.ID == t.ID })
		if at < 0 {
			return schema.Token{}, &NotFoundError{ObjectToken, fmt.Sprint("#", t.ID)}
		}
		t.Created = before[at].Created
	} else {
		t.ID = c.mu.lastToken + 1
		t.Created = cmp.Or(t.Created, c.nowNanoseconds())
	}
	t.Permissions = slices.Clone(t.Permissions)
	if err := c.storeTokenLocked(at, &t); err != nil {
		return schema.Token{}, err
	}
	return t, nil
}

// storeTokenLocked makes t durable and puts it at its place in the list, where it
// replaces another token or follows the last; mu is held.
func (c *Catalog) storeTokenLocked(at int, t *schema.Token) error {
	b := c.store.newBatch()
	b.put(tokenKey(t.ID), appendToken(nil, t))
	last := max(t.ID, c.mu.lastToken)
	if last != c.mu.lastToken {
		b.put(lastTokenKey, appendNumber(nil, last))
	}
	if err := c.commitLocked(b, "put token %q", t.Name); err != nil {
		return err
	}
	next := slices.Clone(c.Tokens())
	if at == len(next) {
		next = append(next, nil)
	}
	next[at] = t
	c.tokens.Store(&next)
	c.mu.lastToken = last
	return nil
}

// DeleteToken removes a token. The errors are *NotFoundError, ErrFailed and ErrClosed.
func (c *Catalog) DeleteToken(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usableLocked(); err != nil {
		return err
	}
	before := c.Tokens()
	at := slices.IndexFunc(before, tokenNamed(name))
	if at < 0 {
		return &NotFoundError{ObjectToken, name}
	}
	b := c.store.newBatch()
	b.remove(tokenKey(before[at].ID))
	if err := c.commitLocked(b, "delete token %q", name); err != nil {
		return err
	}
	next := slices.Delete(slices.Clone(before), at, at+1)
	c.tokens.Store(&next)
	return nil
}

func tokenNamed(name string) func(*schema.Token) bool {
	return func(t *schema.Token) bool { return t.Name == name }
}

func checkToken(t *schema.Token) error {
	switch {
	case t.Name == "":
		return fmt.Errorf("%w: its name is empty", ErrInvalidToken)
	case len(t.Name) > maxTokenNameBytes:
		return fmt.Errorf("%w: its name has %d bytes, more than %d", ErrInvalidToken, len(t.Name), maxTokenNameBytes)
	case !isPrintable(t.Name):
		return fmt.Errorf("%w: its name %q is not printable text", ErrInvalidToken, t.Name)
	}
	for _, p := range t.Permissions {
		if err := checkName("database", p.Database); err != nil {
			return fmt.Errorf("%w: token %q has a permission: %w", ErrInvalidToken, t.Name, err)
		}
	}
	return nil
}

func isPrintable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}
