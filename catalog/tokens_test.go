package catalog

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/siltstone-db/siltstone/schema"
)

func mustPut(t *testing.T, c *Catalog, token schema.Token) schema.Token {
	t.Helper()
	stored, err := c.PutToken(token)
	mustDo(t, err)
	return stored
}

func TestTokenIdsAreNotUsedAgain(t *testing.T) {
	fs := vfs.NewMem()
	c := mustOpen(t, fs)
	for i, name := range []string{"a", "b"} {
		if got := mustPut(t, c, schema.Token{Name: name}); got.ID != uint64(i+1) {
			t.Errorf("token %s has id %d", name, got.ID)
		}
	}
	mustDo(t, c.DeleteToken("b"))
	mustClose(t, c)
	c = mustOpen(t, fs)
	defer mustClose(t, c)
	if got := mustPut(t, c, schema.Token{Name: "b"}); got.ID != 3 {
		t.Errorf("the new token has id %d, want 3", got.ID)
	}
}

func TestTokensAreReplacedById(t *testing.T) {
	c := mustOpen(t, vfs.NewMem())
	defer mustClose(t, c)
	testClock.Store(100)
	mustPut(t, c, schema.Token{Name: "a"})
	mustPut(t, c, schema.Token{Name: "b", Created: 7})
	before := c.Tokens()
	testClock.Store(200)
	stored := mustPut(t, c, schema.Token{ID: 1, Name: "renamed", Admin: true, Hash: [64]byte{1}})
	if got := c.Tokens()[0]; stored.Created != 100 || got.Created != 100 || got.Name != "renamed" || !got.Admin {
		t.Errorf("returned %+v, stored %+v", stored, got)
	}
	if len(before) != 2 || before[0].Name != "a" || before[1].Created != 7 {
		t.Error("a list that was returned earlier has changed")
	}
	mustPut(t, c, schema.Token{Name: "a"}) // the name is free
}

func TestStoredTokenIsACopy(t *testing.T) {
	c := mustOpen(t, vfs.NewMem())
	defer mustClose(t, c)
	permissions := []schema.Permission{{Database: "db", Read: true}}
	mustPut(t, c, schema.Token{Name: "a", Permissions: permissions})
	permissions[0].Write = true
	if c.Tokens()[0].Permissions[0].Write {
		t.Error("the caller has changed what is stored")
	}
}

func TestTokenCallsNameWhatIsWrong(t *testing.T) {
	c := mustOpen(t, vfs.NewMem())
	defer mustClose(t, c)
	mustPut(t, c, schema.Token{Name: "a"})
	mustPut(t, c, schema.Token{Name: strings.Repeat("é", 127)}) // 254 bytes
	before := observe(c)
	put := func(token schema.Token) error {
		_, err := c.PutToken(token)
		return err
	}
	for name, test := range map[string]struct {
		err, cause error
		text       string
	}{
		"a taken name":         {put(schema.Token{Name: "a"}), ErrExists, `token "a" exists already`},
		"another's name":       {put(schema.Token{ID: 2, Name: "a"}), ErrExists, `token "a" exists already`},
		"an unknown id":        {put(schema.Token{ID: 3, Name: "c"}), ErrNotFound, `token "#3" does not exist`},
		"no name":              {put(schema.Token{}), ErrInvalidToken, "invalid token: its name is empty"},
		"a long name":          {put(schema.Token{Name: strings.Repeat("x", 256)}), ErrInvalidToken, ""},
		"a line break":         {put(schema.Token{Name: "a\nb"}), ErrInvalidToken, ""},
		"not text":             {put(schema.Token{Name: "\xff"}), ErrInvalidToken, ""},
		"a nameless database":  {put(schema.Token{Name: "c", Permissions: make([]schema.Permission, 1)}), ErrInvalidToken, ""},
		"deletion of no token": {c.DeleteToken("c"), ErrNotFound, `token "c" does not exist`},
	} {
		if !errors.Is(test.err, test.cause) || test.text != "" && test.err.Error() != test.text {
			t.Errorf("%s: got %v, want %v %q", name, test.err, test.cause, test.text)
		}
	}
	mustHave(t, c, before)
}

func TestDatasourcesAreNamedWithinTheirProject(t *testing.T) {
	c := mustOpen(t, vfs.NewMem())
	defer mustClose(t, c)
	testClock.Store(100)
	mustDo(t, c.CreateDatasource(schema.Datasource{Project: "p", Name: "d", Database: "db"}))
	mustDo(t, c.CreateDatasource(schema.Datasource{Project: "q", Name: "d", Database: "db", Created: 7}))
	for name, test := range map[string]struct {
		datasource schema.Datasource
		cause      error
		text       string
	}{
		"a taken name": {schema.Datasource{Project: "p", Name: "d", Database: "x"}, ErrExists, `datasource "p/d" exists already`},
		"no project":   {schema.Datasource{Name: "d", Database: "x"}, ErrInvalidChange, ""},
		"no name":      {schema.Datasource{Project: "p", Database: "x"}, ErrInvalidChange, ""},
		"no database":  {schema.Datasource{Project: "p", Name: "e"}, ErrInvalidChange, ""},
	} {
		if err := c.CreateDatasource(test.datasource); !errors.Is(err, test.cause) || test.text != "" && err.Error() != test.text {
			t.Errorf("%s: got %v, want %v %q", name, err, test.cause, test.text)
		}
	}
	if got := c.Datasources(); len(got) != 2 || got[0].Created != 100 || got[1].Created != 7 {
		t.Errorf("%+v", got)
	}
}
