package httpapi

import (
	"strings"
	"testing"
)

// TestCachesAreMadeAndDeletedAsInInfluxDB: bodies, statuses and names by default are those of InfluxDB 3.
func TestCachesAreMadeAndDeletedAsInInfluxDB(t *testing.T) {
	s := newRolledUp(t)
	s.configure("POST", lastCachePath, `{"db":"db","table":"m"}`).
		is(t, 201, `{"db":"db","table":"m","name":"m_a_b_last_cache","key_columns":["a","b"],"count":1,"ttl":14400}`)
	s.configure("POST", lastCachePath, `{"db":"db","table":"m"}`).is(t, 409, `{"error":"attempted to create a resource that already exists"}`)
	s.configure("POST", lastCachePath, `{"db":"db","table":"m","name":"c","key_columns":["s","ok"],"value_columns":["f","time"],"count":3,"ttl":60}`).
		is(t, 201, `{"db":"db","table":"m","name":"c","key_columns":["s","ok"],"value_columns":["f"],"count":3,"ttl":60}`)
	s.configure("POST", distinctCachePath, `{"db":"db","table":"m","columns":["b","s"]}`).
		is(t, 201, `{"db":"db","table":"m","name":"m_b_s_distinct_cache","columns":["b","s"],"max_cardinality":100000,"max_age":86400}`)
	s.configure("POST", distinctCachePath, `{"db":"db","table":"m","name":"c","columns":["a"],"max_cardinality":7,"max_age":1}`).
		is(t, 201, `{"db":"db","table":"m","name":"c","columns":["a"],"max_cardinality":7,"max_age":1}`)

	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{lastCachePath, `{"table":"m"}`, 400, "missing field `db`"},
		{lastCachePath, `{"db":"db"}`, 400, "missing field `table`"},
		{lastCachePath, `{"db":"none","table":"m"}`, 404, "not found"},
		{lastCachePath, `{"db":"db","table":"none"}`, 404, "not found: db.none"},
		{lastCachePath, `{"db":"db","table":"m","name":"x","count":0}`, 400, "`count` must be 1 or more"},
		{lastCachePath, `{"db":"db","table":"m","name":"x","count":-1}`, 400, "serde json error"},
		{lastCachePath, `{"db":"db","table":"m","name":"x","ttl":0}`, 400, "`ttl` must be from 1 second"},
		{lastCachePath, `{"db":"db","table":"m","name":"x","ttl":18446744073709551615}`, 400, "`ttl` must be from 1 second"},
		{lastCachePath, `{"db":"db","table":"m","key_columns":["nope"]}`, 400, `table "m" has no column "nope"`},
		{lastCachePath, `{"db":"db","table":"m","key_columns":["time"]}`, 400, `column "time" cannot be in the key`},
		{lastCachePath, `{"db":"db","table":"m","key_columns":["f"]}`, 400, "a key is made of tags, strings, integers and booleans"},
		{lastCachePath, `{"db":"db","table":"m","key_columns":["a"],"value_columns":["a"]}`, 400, `column "a" occurs twice`},
		{distinctCachePath, `{"db":"db","table":"m"}`, 400, "missing field `columns`"},
		{distinctCachePath, `{"db":"db","table":"m","columns":["n"]}`, 400, `column "n" is neither a tag nor a string`},
		{distinctCachePath, `{"db":"db","table":"m","columns":["a"],"max_cardinality":0}`, 400, "`max_cardinality` must be 1 or more"},
		{distinctCachePath, `{"db":"db","table":"m","columns":["a"],"max_age":0}`, 400, "`max_age` must be from 1 second"},
		{distinctCachePath, `{"db":"_internal","table":"m","columns":["a"]}`, 404, "not found"},
		{lastCachePath, `{`, 400, "serde json error"},
	} {
		a := s.configure("POST", c.path, c.body)
		if a.StatusCode != c.status || !strings.Contains(strings.ReplaceAll(a.text, `\"`, `"`), c.want) {
			t.Errorf("%s: %s: %s", c.body, a.Status, a.text)
		}
	}

	s.configure("DELETE", lastCachePath+"?db=db&table=m&name=c", "").is(t, 200, "")
	s.configure("DELETE", lastCachePath+"?db=db&table=m&name=c", "").is(t, 404, `{"error":"the requested resource was not found: c"}`)
	s.configure("DELETE", distinctCachePath, `{"db":"db","table":"m","name":"c"}`).is(t, 200, "")
	s.configure("DELETE", distinctCachePath+"?db=db&table=m", "").is(t, 400, "{\"error\":\"serde error: missing field `name`\"}")
	s.configure("DELETE", distinctCachePath, `{"db":"db","table":"m"}`).is(t, 400, "{\"error\":\"serde json error: missing field `name`\"}")
	s.configure("DELETE", distinctCachePath+"?db=none&table=m&name=c", "").is(t, 404, `{"error":"the requested resource was not found: none.m"}`)
	if a := s.do("DELETE", lastCachePath, strings.NewReader("x"), "Authorization", asAdmin, "Content-Type", "text/plain"); a.StatusCode != 415 {
		t.Errorf("a deletion in plain text: %s: %s", a.Status, a.text)
	}
}
