package catalog

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/siltstone-db/siltstone/schema"
)

// Datasources returns every datasource in the order of their creation. The slice is
// shared and must not be changed.
func (c *Catalog) Datasources() []*schema.Datasource { return *c.datasources.Load() }

// CreateDatasource makes a datasource; a Created of 0 becomes the present. Its database
// is a name only: it need not exist, and may be deleted and made again. The errors are
// *ExistsError, ErrInvalidChange, ErrFailed and ErrClosed.
func (c *Catalog) CreateDatasource(d schema.Datasource) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usableLocked(); err != nil {
		return err
	}
	if err := checkDatasource(&d); err != nil {
		return err
	}
	before := c.Datasources()
	name := nameOf(&d)
	if slices.ContainsFunc(before, func(have *schema.Datasource) bool { return nameOf(have) == name }) {
		return &ExistsError{ObjectDatasource, name.String()}
	}
	d.Created = cmp.Or(d.Created, c.nowNanoseconds())
	b := c.store.newBatch()
	b.put(datasourceKey(len(before)+1), appendDatasource(nil, &d))
	if err := c.commitLocked(b, "create datasource %q", name); err != nil {
		return err
	}
	next := append(slices.Clone(before), &d)
	c.datasources.Store(&next)
	return nil
}

// datasourceName is what a datasource is known by.
type datasourceName struct{ project, name string }

func nameOf(d *schema.Datasource) datasourceName { return datasourceName{d.Project, d.Name} }

func (n datasourceName) String() string { return n.project + "/" + n.name }

func checkDatasource(d *schema.Datasource) error {
	if err := checkName("project", d.Project); err != nil {
		return err
	}
	if err := checkName("datasource", d.Name); err != nil {
		return err
	}
	if err := checkName("database", d.Database); err != nil {
		return fmt.Errorf("datasource %q: %w", nameOf(d), err)
	}
	return nil
}
