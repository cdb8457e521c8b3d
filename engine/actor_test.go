package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/siltstone-db/siltstone/engine"
	"github.com/siltstone-db/siltstone/schema"
)

// sharedDB is the database in which all actors write to the same tables.
const sharedDB = "shared"

// actor is one client of a history. Its points carry its tag, so that it alone knows
// what they must be; it deletes only tables and databases of its own.
type actor struct {
	id       int
	rng      *rand.Rand
	history  *history
	rejected rejections
	count    int64 // of what it wrote; every value is from it
	merges   int   // that its compactions made
}

func newActor(id int, keepsRejected bool, rng *rand.Rand) *actor {
	return &actor{id: id, rng: rng, history: newHistory(), rejected: rejections{isOn: keepsRejected, told: make(map[string]bool)}}
}

// actions are what actors do, and how often.
var actions = []struct {
	weight int
	act    func(*actor, *engine.Engine) error
}{
	{24, (*actor).writeShared},
	{12, (*actor).writeOwn},
	{6, (*actor).writeRejected},
	{8, (*actor).writeEvents},
	{2, (*actor).writeLong},
	{8, (*actor).flush},
	{4, (*actor).compact},
	{3, (*actor).deleteRows},
	{3, (*actor).deleteTable},
	{2, (*actor).deleteDatabase},
	{2, (*actor).setRetention},
	{3, (*actor).purge},
	{4, (*actor).rollUp},
	{3, (*actor).createCache},
	{2, (*actor).deleteCache},
}

// act does one thing that is drawn, or looks at what there is. The error is that of an
// engine without a disk, or a fault.
func (a *actor) act(t *testing.T, e *engine.Engine, d *disk) error {
	total := 6
	for _, x := range actions {
		total += x.weight
	}
	k := a.rng.IntN(total)
	for _, x := range actions {
		if k -= x.weight; k < 0 {
			return x.act(a, e)
		}
	}
	a.look(t, e, d)
	return nil
}

func (a *actor) database() string { return fmt.Sprint("own", a.id) }

// isOwn reports whether an entry of readDatabases is this actor's.
func (a *actor) isOwn(key string) bool {
	return strings.HasPrefix(key, a.database()+"/") || strings.Contains(key+",", fmt.Sprintf(",w=%d ", a.id))
}

func (a *actor) own(all contents) contents {
	mine := make(contents)
	for key, fields := range all {
		if a.isOwn(key) {
			mine[key] = fields
		}
	}
	return mine
}

// row is one line: table and tags in name order, the last of them w.
type row struct {
	series string
	ns     int64
	fields map[string]any
}

func (r row) line() string {
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(r.fields)) {
		text := fmt.Sprintf("%v", r.fields[name])
		switch v := r.fields[name].(type) {
		case int64:
			text += "i"
		case string:
			text = fmt.Sprintf("%q", v)
		}
		fields = append(fields, name+"="+text)
	}
	return fmt.Sprintf("%s %s %d", r.series, strings.Join(fields, ","), r.ns)
}

// newRow makes a row with one to three fields of five; times and series are few, so that
// rows meet.
func (a *actor) newRow(table string) row {
	a.count++
	r := row{
		series: fmt.Sprintf("%s,k=k%d,w=%d", table, a.rng.IntN(3), a.id),
		ns:     int64(a.rng.IntN(4)-1)*day + int64(a.rng.IntN(4)),
		fields: make(map[string]any),
	}
	if a.rng.IntN(4) == 0 { // young enough for any retention
		r.ns = noon.UnixNano() + 365*day + int64(a.rng.IntN(3))
	}
	for range 1 + a.rng.IntN(3) {
		switch a.rng.IntN(5) {
		case 0:
			r.fields["f"] = float64(a.count) + 0.5
		case 1:
			r.fields["s"] = fmt.Sprint("text ", a.count)
		case 2:
			r.fields["b"] = a.count%2 == 0
		default:
			r.fields[fmt.Sprint("i", a.rng.IntN(2))] = a.count
		}
	}
	return r
}

func (a *actor) newRows(n int, tables ...string) (rows []row) {
	for range n {
		rows = append(rows, a.newRow(tables[a.rng.IntN(len(tables))]))
	}
	return rows
}

func (a *actor) writeShared(e *engine.Engine) error {
	return a.write(e, sharedDB, a.newRows(1+a.rng.IntN(8), "t0", "t1"))
}

func (a *actor) writeOwn(e *engine.Engine) error {
	return a.write(e, a.database(), a.newRows(1+a.rng.IntN(8), "t0", "t1"))
}

// writeRejected mixes good lines with bad ones.
func (a *actor) writeRejected(e *engine.Engine) error {
	a.count++
	return a.write(e, sharedDB, a.newRows(a.rng.IntN(4), "t0", "t1"),
		fmt.Sprintf("t0,w=%d i0= %d", a.id, a.count),
		fmt.Sprintf("bad%d,w=%d never=1,never=2 %d", a.id, a.id, a.count))
}

// writeLong brings enough to fill several segments of the log.
func (a *actor) writeLong(e *engine.Engine) error {
	rows := a.newRows(40, "t0")
	for i := range rows {
		text := make([]byte, 200+a.rng.IntN(800))
		for k := range text {
			text[k] = "abcdefghijklmnopqrstuvwxyz012345"[a.rng.IntN(32)]
		}
		rows[i].fields["s"] = string(text)
	}
	return a.write(e, a.database(), rows)
}

// write sends rows and lines that must be rejected, often without waiting for the sync.
func (a *actor) write(e *engine.Engine, database string, rows []row, bad ...string) error {
	before := a.history.latest()
	next := before.clone()
	var lines []string
	expired := 0
	for _, r := range rows {
		lines = append(lines, r.line())
		if before.isExpired(database, r.ns) {
			expired++
		} else {
			next.merge(database+"/"+r.series+" "+fmt.Sprint(r.ns), r.fields)
		}
	}
	req := request(append(lines, bad...)...)
	req.Database, req.NoSync = database, a.rng.IntN(5) == 0
	req.RequestID = fmt.Sprintf("%d-%d", a.id, a.count)
	n := 0 // of nothing that could be stored
	if expired < len(rows) {
		n = a.history.begin(next)
	}
	r, err := e.Write(context.Background(), req)
	if err != nil {
		return err
	}
	if r.Expired != expired || r.Accepted != len(rows)-expired || r.Rejected != expired+len(bad) {
		return fmt.Errorf("of %d rows, %d of them too old, and %d bad lines: %+v", len(rows), expired, len(bad), r)
	}
	if !req.NoSync {
		a.history.acknowledge(n)
	}
	a.rejected.add(bad)
	return nil
}

// isExpired reports whether a database does not take a time. Only a short retention, of
// less than what lies between the times of rows, excludes any.
func (c contents) isExpired(database string, ns int64) bool {
	d, ok := c[retentionKey(database)]["retention"].(time.Duration)
	return ok && d == shortRetention && ns < noon.UnixNano()
}

// shortRetention excludes the times around 1970, longRetention nothing.
const (
	shortRetention = 30 * 24 * time.Hour
	longRetention  = 100 * 365 * 24 * time.Hour
)

func (c contents) merge(key string, fields map[string]any) {
	if c[key] == nil {
		c[key] = make(map[string]any)
	}
	maps.Copy(c[key], fields)
}

// writeEvents sends events, some of them again, to a table that keeps the first of each.
// It makes sure of the table first: one without the key would keep the last.
func (a *actor) writeEvents(e *engine.Engine) error {
	err := e.CreateTable(sharedDB, engine.TableSpec{
		Name: a.events(), Key: schema.TableKey{Rule: schema.FirstByTag, Tag: "id"},
		Columns: []engine.ColumnSpec{{Name: "id", Type: schema.Tag}, {Name: "n", Type: schema.Int64}, {Name: "w", Type: schema.Tag}},
	})
	if err != nil && !errors.Is(err, engine.ErrExists) {
		return err
	}
	next := a.history.latest().clone()
	var lines []string
	isNew := false
	for range 1 + a.rng.IntN(4) {
		a.count++
		series := fmt.Sprintf("%s,id=e%d,w=%d", a.events(), a.rng.IntN(12), a.id)
		lines = append(lines, fmt.Sprintf("%s n=%di %d", series, a.count, a.count))
		if !next.hasSeries(sharedDB + "/" + series) {
			next.merge(fmt.Sprintf("%s/%s %d", sharedDB, series, a.count), map[string]any{"n": a.count})
			isNew = true
		}
	}
	req := request(lines...)
	req.Database, req.NoSync = sharedDB, a.rng.IntN(2) == 0
	n := 0
	if isNew {
		n = a.history.begin(next)
	}
	if _, err := e.Write(context.Background(), req); err != nil {
		return err
	}
	a.history.acknowledge(n) // such tables are synced all the same
	return nil
}

func (a *actor) events() string { return fmt.Sprint("ev", a.id) }

func (c contents) hasSeries(series string) bool {
	for key := range c {
		if strings.HasPrefix(key, series+" ") {
			return true
		}
	}
	return false
}

func (a *actor) flush(e *engine.Engine) error { return e.Flush(context.Background()) }

func (a *actor) compact(e *engine.Engine) error {
	report, err := e.Compact(context.Background(), engine.CompactOptions{})
	a.merges += report.Merges
	return err
}

// define does what is a commit of the catalog, and not of the log. What was answered
// before it was synced is waited for, because the log has no say in when it happens.
func (a *actor) define(e *engine.Engine, next contents, commit func() error) error {
	v, err := e.View(context.Background(), engine.InternalDatabase, nil)
	if err != nil {
		return err
	}
	v.Close()
	if err := e.Err(); err != nil {
		return err
	}
	_, written := a.history.bounds()
	a.history.acknowledge(written)
	n := a.history.begin(next)
	if err := commit(); err != nil {
		return err
	}
	a.history.acknowledge(n)
	return nil
}

func (a *actor) deleteTable(e *engine.Engine) error {
	database, table := a.database(), "t0"
	if a.rng.IntN(2) == 0 {
		database, table = sharedDB, a.events()
	}
	if err := a.dropRollup(e, database); err != nil {
		return err
	}
	next, wasThere := a.history.latest().without(database + "/" + table + ",")
	return a.define(e, next, func() error {
		err := e.DeleteTable(database, table, a.purgeTime())
		var missing *engine.TableNotFoundError
		if !wasThere && (errors.As(err, &missing) || errors.Is(err, engine.ErrDatabaseNotFound)) {
			return nil
		}
		return err
	})
}

// deleteRows deletes rows of its own, by series, by time or both.
func (a *actor) deleteRows(e *engine.Engine) error {
	database := []string{a.database(), sharedDB}[a.rng.IntN(2)]
	table := a.rng.IntN(2)
	spec := engine.DeleteSpec{Database: database, Tables: []string{"t0", "t1"}[table : table+1], Time: a.drawTime(), Where: a.drawPredicate()}
	prefix := database + "/"
	before := a.history.latest()
	next := before.clone()
	maps.DeleteFunc(next, func(key string, _ map[string]any) bool {
		rest, isIn := strings.CutPrefix(key, prefix)
		return isIn && rest != "" && isDeleted(spec, rest)
	})
	return a.define(e, next, func() error {
		err := e.DeleteRows(context.Background(), spec)
		var missing *engine.TableNotFoundError
		if errors.As(err, &missing) || errors.Is(err, engine.ErrDatabaseNotFound) {
			err = nil
			if len(next) != len(before) {
				err = fmt.Errorf("a table with rows does not exist: %+v", spec)
			}
		}
		return err
	})
}

// drawTime draws a range of the times that rows have.
func (a *actor) drawTime() schema.TimeRange {
	if a.rng.IntN(2) == 0 {
		return schema.MaxTimeRange
	}
	from := int64(a.rng.IntN(4)-1)*day + int64(a.rng.IntN(4))
	return schema.TimeRange{Min: from, Max: from + int64(a.rng.IntN(3))*day/2 + int64(a.rng.IntN(3))}
}

// drawPredicate draws a condition that holds for rows of the actor only.
func (a *actor) drawPredicate() *schema.Predicate {
	p := &schema.Predicate{Op: schema.And, Args: []*schema.Predicate{{Op: schema.Equal, Tag: "w", Text: fmt.Sprint(a.id)}}}
	if a.rng.IntN(4) > 0 {
		op := schema.Equal + schema.PredicateOp(a.rng.IntN(4))
		c, err := schema.Compare("k", op, fmt.Sprint("k", a.rng.IntN(3)))
		if err != nil {
			panic(err)
		}
		p.Args = append(p.Args, c)
	}
	return p
}

// isDeleted reports whether a deletion is about a point.
func isDeleted(spec engine.DeleteSpec, key string) bool {
	parts := strings.Split(key[:strings.LastIndexByte(key, ' ')], ",")
	if spec.Tables != nil && !slices.Contains(spec.Tables, parts[0]) || !spec.Time.Contains(timeOf(key)) {
		return false
	}
	return spec.Where.Holds(func(tag string) string {
		for _, p := range parts[1:] {
			if name, value, _ := strings.Cut(p, "="); name == tag {
				return value
			}
		}
		return ""
	})
}

func (a *actor) deleteDatabase(e *engine.Engine) error {
	next, wasThere := a.history.latest().without(a.database() + "/")
	return a.define(e, next, func() error {
		err := e.DeleteDatabase(a.database(), a.purgeTime())
		if !wasThere && errors.Is(err, engine.ErrDatabaseNotFound) {
			return nil
		}
		return err
	})
}

// purgeTime is now, in a while, or never.
func (a *actor) purgeTime() time.Time {
	return []time.Time{time.Unix(1, 0), noon.Add(time.Duration(a.rng.IntN(10)) * time.Hour), {}}[a.rng.IntN(3)]
}

// without removes what begins with a prefix.
func (c contents) without(prefix string) (rest contents, wasThere bool) {
	rest = c.clone()
	maps.DeleteFunc(rest, func(key string, _ map[string]any) bool { return strings.HasPrefix(key, prefix) })
	return rest, len(rest) < len(c)
}

func (a *actor) setRetention(e *engine.Engine) error {
	return a.retain(e, []time.Duration{0, longRetention, longRetention + time.Hour, shortRetention}[a.rng.IntN(4)])
}

// expire ends the time of most rows.
func (a *actor) expire(e *engine.Engine) error { return a.retain(e, shortRetention) }

func (a *actor) retain(e *engine.Engine, d time.Duration) error {
	if err := e.CreateDatabase(a.database(), 0); err != nil && !errors.Is(err, engine.ErrExists) {
		return err
	}
	next := a.history.latest().clone()
	if next.isExpired(a.database(), 0) {
		d = shortRetention // what a longer one would show depends on which files have gone
	}
	delete(next, retentionKey(a.database()))
	if d == shortRetention {
		maps.DeleteFunc(next, func(key string, _ map[string]any) bool {
			return strings.HasPrefix(key, a.database()+"/") && timeOf(key) < noon.UnixNano()
		})
	}
	if d > 0 {
		next.merge(retentionKey(a.database()), map[string]any{"retention": d})
	}
	return a.define(e, next, func() error { return e.SetRetention(a.database(), d) })
}

// purge removes what is due, and files of expired rows.
func (a *actor) purge(e *engine.Engine) error {
	e.PurgeDue()
	return e.Err()
}

// look compares what the actor sees with what it was told: everything that it was
// answered, durable or not yet.
func (a *actor) look(t *testing.T, e *engine.Engine, d *disk) {
	must, may := a.history.bounds()
	names := slices.DeleteFunc([]string{sharedDB, a.database()}, func(name string) bool {
		return !slices.Contains(e.Databases(), name)
	})
	got := a.own(readDatabases(t, e, d.mem, names...))
	if !d.hasPower() || e.Err() != nil {
		a.history.check(t, got, must, may)
		return
	}
	a.history.check(t, got, may, may)
	a.history.acknowledge(may)
}
