package influxql

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/influxdata/influxql"

	"github.com/siltstone-db/siltstone/internal/sqltext"
	"github.com/siltstone-db/siltstone/schema"
)

// errNoDatabase is what InfluxDB 1 says when neither statement nor request name one.
var errNoDatabase = refuse("database name required")

// showScope is what a SHOW statement is about: tables of one database, and a WHERE clause.
type showScope struct {
	database  string
	tables    []*schema.Table // in order of names
	condition influxql.Expr   // on tags; nil is none
	time      influxql.TimeRange
}

func (e *Environment) mayRead(database string) bool { return e.MayRead == nil || e.MayRead(database) }

// readable returns the databases that the sender may read, in order of names.
func (e *Environment) readable() []*schema.Database {
	var all []*schema.Database
	for _, db := range e.Schema.Databases() {
		if e.mayRead(db.Name) {
			all = append(all, db)
		}
	}
	return all
}

// databaseOr returns the database that a statement names, or the request's.
func (e *Environment) databaseOr(name string) string {
	if name != "" {
		return name
	}
	return e.Database
}

// missing tells who may know it that a database does not exist, and others that they may
// not read it.
func (e *Environment) missing(database string) error {
	if !e.mayRead(database) {
		return &ForbiddenError{Database: database}
	}
	return &DatabaseNotFoundError{Database: database}
}

// policy finds the database that holds a retention policy. With only such databases,
// as for datasources, the default one is there and empty: nil.
func (e *Environment) policy(database, policy string) (*schema.Database, error) {
	if database == "" {
		return nil, errNoDatabase
	}
	name := PolicyDatabase(database, policy)
	db, ok := e.Schema.Database(name)
	if ok && e.mayRead(name) {
		return db, nil
	}
	if IsDefaultPolicy(policy) && !ok {
		for _, other := range e.readable() {
			if of, _ := PolicyOf(other.Name); of == database {
				return nil, nil
			}
		}
	}
	return nil, e.missing(name)
}

// scope finds what a statement is about: the measurements of its FROM clause, or all of a
// database and retention policy.
func (e *Environment) scope(database, policy string, sources influxql.Sources, where influxql.Expr) (*showScope, error) {
	database = e.databaseOr(database)
	if policy == "" {
		policy = e.RetentionPolicy
	}
	var from []*influxql.Measurement
	for _, source := range sources {
		m, ok := source.(*influxql.Measurement)
		if !ok {
			return nil, refuse("a subquery is not supported in FROM of a SHOW statement")
		}
		from = append(from, m)
	}
	if len(from) > 0 && from[0].Database != "" {
		database = from[0].Database
	}
	if len(from) > 0 && from[0].RetentionPolicy != "" {
		policy = from[0].RetentionPolicy
	}
	for _, m := range from {
		if m.Database != from[0].Database || m.RetentionPolicy != from[0].RetentionPolicy {
			return nil, refuse("measurements of different databases or retention policies are not supported in FROM of a SHOW statement")
		}
	}
	db, err := e.policy(database, policy)
	if err != nil {
		return nil, err
	}
	s := &showScope{database: PolicyDatabase(database, policy)}
	if db != nil {
		s.tables = matching(db.Tables(), from)
	}
	s.condition, s.time, err = influxql.ConditionExpr(where, &influxql.NowValuer{Now: e.Now})
	if err != nil {
		return nil, refuse("%v", err)
	}
	return s, nil
}

// matching returns the tables that FROM names; none named is all.
func matching(tables []*schema.Table, from []*influxql.Measurement) []*schema.Table {
	if len(from) == 0 {
		return tables
	}
	var all []*schema.Table
	for _, t := range tables {
		for _, m := range from {
			if m.Name == t.Name || m.Regex != nil && m.Regex.Val.MatchString(t.Name) {
				all = append(all, t)
				break
			}
		}
	}
	return all
}

func (s *showScope) names() []string {
	names := make([]string, len(s.tables))
	for i, t := range s.tables {
		names[i] = t.Name
	}
	return names
}

// plan is an answer of one series by one SQL statement; without any it is empty.
func (s *showScope) plan(columns []Column, series, sql string) *Plan {
	p := &Plan{Columns: columns}
	p.query(s, series, sql)
	return p
}

// where is the WHERE clause of a scan of a table, with others to be met as well.
func (s *showScope) where(t *schema.Table, others ...string) (string, error) {
	terms := others
	if s.condition != nil {
		sql, err := tagCondition(s.condition, t)
		if err != nil {
			return "", err
		}
		terms = append(terms, sql)
	}
	if !s.time.Min.IsZero() {
		terms = append(terms, "time >= "+instant(s.time.Min))
	}
	if !s.time.Max.IsZero() {
		terms = append(terms, "time <= "+instant(s.time.Max))
	}
	if len(terms) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(terms, " AND "), nil
}

func instant(t time.Time) string {
	return "TIMESTAMP_NS '" + t.UTC().Format("2006-01-02 15:04:05.000000000") + "'"
}

// tagCondition makes SQL of a condition on tags, in which a tag that a row does not have
// is empty.
func tagCondition(expr influxql.Expr, t *schema.Table) (string, error) {
	switch e := expr.(type) {
	case *influxql.ParenExpr:
		return tagCondition(e.Expr, t)
	case *influxql.BooleanLiteral:
		return strings.ToUpper(e.String()), nil
	case *influxql.BinaryExpr:
		if e.Op != influxql.AND && e.Op != influxql.OR {
			return tagComparison(e, t)
		}
		left, err := tagCondition(e.LHS, t)
		if err != nil {
			return "", err
		}
		right, err := tagCondition(e.RHS, t)
		if err != nil {
			return "", err
		}
		return "(" + left + " " + e.Op.String() + " " + right + ")", nil
	}
	return "", refuse("WHERE of a SHOW statement compares tags and time; %s is not supported there", expr)
}

// tagOperators are those that WHERE of a SHOW statement has.
var tagOperators = []influxql.Token{influxql.EQ, influxql.NEQ, influxql.EQREGEX, influxql.NEQREGEX}

func tagComparison(e *influxql.BinaryExpr, t *schema.Table) (string, error) {
	ref, ok := e.LHS.(*influxql.VarRef)
	value := e.RHS
	if !ok {
		ref, ok = e.RHS.(*influxql.VarRef)
		value = e.LHS
	}
	if !ok {
		return "", refuse("WHERE of a SHOW statement compares tags with text or regular expressions; %s is not supported there", e)
	}
	if !slices.Contains(tagOperators, e.Op) {
		return "", refuse("invalid tag comparison operator")
	}
	if c, ok := t.Column(ref.Val); ok && c.Type != schema.Tag {
		return "", refuse("WHERE of a SHOW statement compares tags and time; %s is a field of %s", ref.Val, t.Name)
	}
	tag, exists := findTag(t, ref.Val)
	negated := e.Op == influxql.NEQ || e.Op == influxql.NEQREGEX
	switch v := value.(type) {
	case *influxql.StringLiteral:
		if e.Op == influxql.EQ || negated {
			return tagEquals(tag.sql, exists, v.Val, negated), nil
		}
	case *influxql.RegexLiteral:
		if e.Op == influxql.EQREGEX || negated {
			return tagMatches(tag.sql, exists, v.Val, negated), nil
		}
	}
	return "", refuse("invalid tag comparison operator")
}

func findTag(t *schema.Table, name string) (tagColumn, bool) {
	tags := sortedTags(t)
	i := slices.IndexFunc(tags, func(tag tagColumn) bool { return tag.name == name })
	if i < 0 {
		return tagColumn{}, false
	}
	return tags[i], true
}

func tagEquals(tag string, exists bool, value string, negated bool) string {
	switch {
	case !exists:
		return constant((value == "") != negated)
	case value == "" && negated:
		return tag + " IS NOT NULL"
	case value == "":
		return tag + " IS NULL"
	case negated:
		return tag + " IS DISTINCT FROM " + sqltext.Literal(value)
	}
	return tag + " = " + sqltext.Literal(value)
}

func tagMatches(tag string, exists bool, re *regexp.Regexp, negated bool) string {
	if !exists {
		return constant(re.MatchString("") != negated)
	}
	sql := "regexp_matches(coalesce(" + tag + ", ''), " + sqltext.Literal(re.String()) + ")"
	if negated {
		return "NOT " + sql
	}
	return sql
}

func constant(is bool) string {
	if is {
		return "TRUE"
	}
	return "FALSE"
}

// union joins selects of one column order; none is no SQL.
func union(selects []string, order string, p page) string {
	if len(selects) == 0 {
		return ""
	}
	return "SELECT * FROM (" + strings.Join(selects, " UNION ALL ") + ") ORDER BY " + order + p.sql()
}

// unions is union for selects that are of different tables in the order wanted: without a
// page each may be a statement of its own, so that no text gets too long.
func unions(selects []string, order string, p page) []string {
	if p != (page{}) && len(selects) > 0 {
		return []string{union(selects, order, p)}
	}
	return selects
}
