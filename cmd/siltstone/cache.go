package main

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

const (
	lastCachePath     = "/api/v3/configure/last_cache"
	distinctCachePath = "/api/v3/configure/distinct_cache"
)

// cacheTableFlag says of which table a cache is.
type cacheTableFlag struct {
	databaseFlag
	Table string `short:"t" required:"" help:"Name of the table." placeholder:"NAME"`
}

// optionalName is the name of a cache that is made.
type optionalName struct {
	Name string `arg:"" optional:"" help:"Name of the cache. Default: made of the names of table and columns." placeholder:"CACHE_NAME"`
}

// requiredName is the name of a cache that is there.
type requiredName struct {
	Name string `arg:"" help:"Name of the cache." placeholder:"CACHE_NAME"`
}

// cacheHelp is what people who know InfluxDB 3 must know.
const cacheHelp = `A cache of Siltstone is a name for a question, and its answer is as fast with and without one: nothing is kept for it, it
is right from the first moment on and after a restart, and --count, --ttl, --max-cardinality and --max-age cost no memory. Without a
name, last_cache('room') shows the newest row of each set of tags, and distinct_cache('room') the sets of tags.`

type createLastCacheCmd struct {
	hostFlag
	cacheTableFlag
	optionalName
	KeyColumns   []string  `help:"Columns that tell apart what there is a newest row of, with commas between them. Default: all tags." placeholder:"COLUMN"`
	ValueColumns []string  `help:"Columns that are shown besides, with commas between them. Default: all others, also those that come later." placeholder:"COLUMN"`
	Count        *uint64   `help:"How many rows of each key are shown. Default: 1." placeholder:"N"`
	TTL          *duration `name:"ttl" help:"How old the time of a row may be. Default: 4h." placeholder:"DURATION"`
}

// Help is the long text of --help.
func (*createLastCacheCmd) Help() string {
	return cacheHelp + `

Examples:

  siltstone create last_cache -d home -t room
  siltstone create last_cache -d home -t room --key-columns name --value-columns temp,hum --count 5 --ttl 30m newest
  siltstone query -d home "SELECT * FROM last_cache('room', 'newest')"`
}

// createCache makes a cache, and says with which function of SQL it is asked.
func (h hostFlag) createCache(ctx context.Context, env environment, path, function, table string, body any) error {
	var made struct {
		Name string `json:"name"`
	}
	if err := h.call(ctx, http.MethodPost, path, nil, body, &made); err != nil {
		return err
	}
	return say(env, "The cache is there: SELECT * FROM %s('%s', '%s')", function, table, made.Name)
}

// seconds is a duration as the server takes it.
func (d *duration) seconds() *uint64 {
	if d == nil {
		return nil
	}
	n := uint64(time.Duration(*d) / time.Second)
	return &n
}

// Run makes the cache.
func (c *createLastCacheCmd) Run(ctx context.Context, env environment) error {
	body := struct {
		Database string   `json:"db"`
		Table    string   `json:"table"`
		Name     string   `json:"name,omitempty"`
		Keys     []string `json:"key_columns,omitempty"`
		Values   []string `json:"value_columns,omitempty"`
		Count    *uint64  `json:"count,omitempty"`
		TTL      *uint64  `json:"ttl,omitempty"`
	}{c.Database, c.Table, c.Name, c.KeyColumns, c.ValueColumns, c.Count, c.TTL.seconds()}
	return c.createCache(ctx, env, lastCachePath, "last_cache", c.Table, body)
}

type createDistinctCacheCmd struct {
	hostFlag
	cacheTableFlag
	optionalName
	Columns        []string  `required:"" help:"Tags and fields of strings, with commas between them." placeholder:"COLUMN"`
	MaxCardinality *uint64   `help:"Kept for clients that ask for it; no value is left out. Default: 100000." placeholder:"N"`
	MaxAge         *duration `help:"How old the time of a row may be whose values are shown. Default: 1d." placeholder:"DURATION"`
}

// Help is the long text of --help.
func (*createDistinctCacheCmd) Help() string {
	return cacheHelp + `

Examples:

  siltstone create distinct_cache -d home -t room --columns name,floor
  siltstone create distinct_cache -d home -t room --columns floor --max-age 30d floors
  siltstone query -d home "SELECT * FROM distinct_cache('room', 'floors')"`
}

// Run makes the cache.
func (c *createDistinctCacheCmd) Run(ctx context.Context, env environment) error {
	body := struct {
		Database       string   `json:"db"`
		Table          string   `json:"table"`
		Name           string   `json:"name,omitempty"`
		Columns        []string `json:"columns"`
		MaxCardinality *uint64  `json:"max_cardinality,omitempty"`
		MaxAge         *uint64  `json:"max_age,omitempty"`
	}{c.Database, c.Table, c.Name, c.Columns, c.MaxCardinality, c.MaxAge.seconds()}
	return c.createCache(ctx, env, distinctCachePath, "distinct_cache", c.Table, body)
}

type deleteLastCacheCmd struct {
	hostFlag
	cacheTableFlag
	requiredName
}

// Run deletes the cache.
func (c *deleteLastCacheCmd) Run(ctx context.Context, env environment) error {
	return c.deleteCache(ctx, env, lastCachePath, c.cacheTableFlag, c.Name)
}

type deleteDistinctCacheCmd struct {
	hostFlag
	cacheTableFlag
	requiredName
}

// Run deletes the cache.
func (c *deleteDistinctCacheCmd) Run(ctx context.Context, env environment) error {
	return c.deleteCache(ctx, env, distinctCachePath, c.cacheTableFlag, c.Name)
}

func (h hostFlag) deleteCache(ctx context.Context, env environment, path string, of cacheTableFlag, name string) error {
	q := url.Values{"db": {of.Database}, "table": {of.Table}, "name": {name}}
	if err := h.call(ctx, http.MethodDelete, path, q, nil, nil); err != nil {
		return err
	}
	return say(env, "Cache %q of table %q is deleted; all rows are there.", name, of.Table)
}
