package httpapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/influxql"
	"github.com/siltstone-db/siltstone/schema"
)

// execute does what a statement asks for that does not read. Its permissions are those
// of the configuration routes: all is for admins, but for what changes nothing. As in
// InfluxDB 1, creating what exists and dropping what does not is no error.
func (x *v1Execution) execute(command influxql.Command) error {
	switch c := command.(type) {
	case *influxql.Unsupported:
		return badRequest("%s", c.Error())
	case *influxql.KillQuery:
		return x.backend.querier.KillAs(originOf(x.request), c.ID)
	case *influxql.CreateDatabase:
		return x.createDatabase(c)
	case *influxql.Invalid:
		return badRequest("%v", c.Err)
	case *influxql.DeleteRows:
		return x.deleteRows(c)
	}
	if !x.sender.Admin {
		return deniedAdmin(x.sender)
	}
	e, now := x.backend.engine, x.server.opts.Now()
	switch c := command.(type) {
	case *influxql.DropDatabase:
		return dropDatabase(e, c.Database, now)
	case *influxql.CreateRetentionPolicy:
		return createPolicy(e, c)
	case *influxql.AlterRetentionPolicy:
		return alterPolicy(e, c)
	case *influxql.DropRetentionPolicy:
		return dropPolicy(e, c, now)
	case *influxql.DropMeasurement:
		return x.dropMeasurement(c, now)
	case *influxql.CreateRollup:
		return createContinuous(e, c)
	case *influxql.DropRollup:
		return ifThere(e.DropRollup(c.Database, c.Name))
	}
	return badRequest("the statement is not supported")
}

// createDatabase lets those who know a database by their token find it there: clients
// such as Telegraf create it before each start.
func (x *v1Execution) createDatabase(c *influxql.CreateDatabase) error {
	db, exists := x.backend.engine.Schema().Database(c.Database)
	if exists && (x.sender.MayRead(c.Database) || x.sender.MayWrite(c.Database)) {
		if c.HasRetention && c.Retention != db.Retention {
			return badRequest("database %s exists with another duration; change it with ALTER RETENTION POLICY autogen ON %s DURATION …", c.Database, c.Database)
		}
		return nil
	}
	if !x.sender.Admin {
		return deniedAdmin(x.sender)
	}
	err := x.backend.engine.CreateDatabase(c.Database, c.Retention)
	if errors.Is(err, engine.ErrExists) { // somebody was faster
		return nil
	}
	return err
}

// dropDatabase deletes a database and those of its retention policies.
func dropDatabase(e *engine.Engine, name string, now time.Time) error {
	for _, db := range policiesOf(e.Schema(), name) {
		if err := ifThere(e.DeleteDatabase(db.Name, now.Add(defaultPurgeDelay))); err != nil {
			return err
		}
	}
	return nil
}

// policiesOf returns the databases in which the retention policies of one are.
func policiesOf(s *schema.Snapshot, database string) []*schema.Database {
	var all []*schema.Database
	for _, db := range s.Databases() {
		if of, _ := influxql.PolicyOf(db.Name); of == database {
			all = append(all, db)
		}
	}
	return all
}

// ifThere forgives that what should be dropped does not exist.
func ifThere(err error) error {
	var table *engine.TableNotFoundError
	if errors.Is(err, engine.ErrDatabaseNotFound) || errors.As(err, &table) {
		return nil
	}
	return err
}

func createPolicy(e *engine.Engine, c *influxql.CreateRetentionPolicy) error {
	if _, ok := e.Schema().Database(c.Database); !ok {
		return databaseNotFound(c.Database)
	}
	name := influxql.PolicyDatabase(c.Database, c.Policy)
	if db, ok := e.Schema().Database(name); ok {
		return samePolicy(db.Retention == c.Duration)
	}
	err := e.CreateDatabase(name, c.Duration)
	if errors.Is(err, engine.ErrExists) {
		return samePolicy(false)
	}
	return err
}

// samePolicy answers to who creates a retention policy that exists.
func samePolicy(is bool) error {
	if is {
		return nil
	}
	return &requestError{http.StatusConflict, "retention policy already exists"}
}

func databaseNotFound(name string) error {
	return &requestError{http.StatusNotFound, "database not found: " + name}
}

func alterPolicy(e *engine.Engine, c *influxql.AlterRetentionPolicy) error {
	if _, ok := e.Schema().Database(c.Database); !ok {
		return databaseNotFound(c.Database)
	}
	err := e.SetRetention(influxql.PolicyDatabase(c.Database, c.Policy), c.Duration)
	if errors.Is(err, engine.ErrDatabaseNotFound) {
		return &requestError{http.StatusNotFound, "retention policy not found: " + c.Policy}
	}
	return err
}

func dropPolicy(e *engine.Engine, c *influxql.DropRetentionPolicy, now time.Time) error {
	if influxql.IsDefaultPolicy(c.Policy) {
		return badRequest("the default retention policy of a database cannot be dropped; DROP DATABASE drops it with the database")
	}
	return ifThere(e.DeleteDatabase(influxql.PolicyDatabase(c.Database, c.Policy), now.Add(defaultPurgeDelay)))
}

func (x *v1Execution) dropMeasurement(c *influxql.DropMeasurement, now time.Time) error {
	if x.query.database == "" {
		return badRequest("database name required")
	}
	if _, ok := x.backend.engine.Schema().Database(x.query.database); !ok {
		return databaseNotFound(x.query.database)
	}
	name := influxql.PolicyDatabase(x.query.database, x.query.policy)
	return ifThere(x.backend.engine.DeleteTable(name, c.Measurement, now.Add(defaultPurgeDelay)))
}
