package query

import (
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// quotedTexts are statements in which a text in quotes is not, or not only, the value of a constant.
var quotedTexts = []string{
	"SELECT 'a'", "SELECT E'a\\n', b, 'c'", "SELECT X'41', 'a'", "SELECT U&'\\0041', 'a'", "SELECT 'it''s', 'a'", "SELECT ''", "SELECT '' ''",
	"SELECT 'a'\n'b'", "SELECT 'a' 'b'", "SELECT 1 AS 'a'", "SELECT 1 'a'", "SELECT {'a': 1, 'b': 'c'}", "SELECT {'a': 'a'}", "SELECT MAP {'a': 'b'}",
	"SELECT ['a','b'][ 'c']", "SELECT x['a'] FROM t", "SELECT CAST( 'a' AS BLOB)", "SELECT 'a'::BLOB, 'b'::INTEGER", "SELECT BLOB 'a'",
	"SELECT DATE '2020-01-01', TIMESTAMP 'now', INTERVAL '1 day', INTERVAL '2' DAY, INTERVAL ( 'a') MONTH", "SELECT extract( 'year' FROM time) FROM t",
	"SELECT * FROM 'a.parquet'", "SELECT * FROM t USING SAMPLE '10%'", "SELECT COLUMNS( 'a.*') FROM t", "SELECT * EXCLUDE ('a') FROM t",
	"SELECT 'a' -- 'b'", "SELECT 'a' /* 'b' /* 'c' */ 'd' */", "SELECT $$ 'a' $$, 'b'", "SELECT $x$ 'a' $y$ $x$, $p, 'b'", `SELECT "a'b", 'c' AS "d''e"`,
	"SELECT x LIKE 'a' ESCAPE 'b', x ILIKE 'c', x GLOB 'd', x SIMILAR TO 'e' FROM t", "SELECT x ~ 'a' FROM t", "SELECT x AT TIME ZONE 'a' FROM t",
	"SELECT x COLLATE 'a' FROM t", "SELECT - 'a', NOT 'a', 'a' || 'b'", "SELECT 'siltstone_text_00', 'b'", "SELECT siltstone_text_00 FROM t WHERE x = 'a'",
	"SELECT a FROM t WHERE a IN ('a', 'b') AND a BETWEEN 'c' AND 'd' OR a = ANY ( 'e')", "SELECT CASE WHEN a = 'x' THEN 'y' ELSE 'z' END FROM t GROUP BY 'k' ORDER BY 'l' LIMIT '3'",
	"SELECT position( 'a' IN 'b'), trim(BOTH 'c' FROM 'd'), overlay( 'e' PLACING 'f' FROM 1), substring( 'g' FROM 2)", "SELECT 'a", "SELECT 'a' FROM", "SELECT", "'",
	"VALUES ( 'a'), ( 'b')", "SELECT f( 'a' ORDER BY 'b') FILTER (WHERE x > 'c') OVER (PARTITION BY 'd') FROM t", "SELECT date_trunc('hour', time), lambda x: x || 'a' FROM t",
	"SHOW TABLES", "DESCRIBE t", "SELECT 'a'; SELECT 'b'", "PIVOT t ON x IN ( 'a')", "SELECT * FROM t PIVOT (sum(x) FOR y IN ( 'a'))", "SELECT t.x FROM t AT (VERSION => 'a')",
	"SELECT approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY 'a')", "SELECT 'a'=x,x<'b',x>'c',(x)!='d' FROM t",
}

// oddTexts is what quotes may hold.
var oddTexts = []string{
	"", "a", "--", "/*", "*/", ";", "\\", "\\'"[:1], "\"", "$$", "$x$", "\n", "\u00e4\u2028\U0001f600", "NULL", "1", "<b>&amp;", "siltstone_text_00x", "{\"class\":\"CONSTANT\"}",
	"2020-01-01T00:00:00Z", "\x01\t", strings.Repeat("long ", 50), "%", "\\u0000", "U&", "' '"[1:2],
}

// TestRememberedTextsAreWhatTheParserSays: whatever stands where, with other literals too.
func TestRememberedTextsAreWhatTheParserSays(t *testing.T) {
	g := newStore(t).querier().gate
	texts := quotedTexts
	for _, file := range []string{"attacks.txt", "dialect.txt", "system.txt", "influxql.txt"} {
		for line := range strings.Lines(mustRead(t, filepath.Join("testdata", file))) {
			texts = append(texts, strings.TrimSpace(line))
		}
	}
	literal := regexp.MustCompile(`'[^']*'`)
	rng := rand.New(rand.NewPCG(1, 1))
	for i, text := range texts {
		if len(text) > maxParsedText || i >= len(quotedTexts) && (!strings.Contains(text, "'") || rng.IntN(4) > 0) {
			continue
		}
		for range 3 {
			sameTree(t, g, text)
			text = literal.ReplaceAllStringFunc(text, func(string) string { return "'" + oddTexts[rng.IntN(len(oddTexts))] + "'" })
		}
	}
	if g.texts.mu.hits < 100 {
		t.Errorf("only %d trees were remembered", g.texts.mu.hits)
	}
}

// sameTree fails if a text's tree, or the error, is another when it is remembered.
func sameTree(t *testing.T, g *gate, text string) {
	t.Helper()
	if checkText(text, maxParsedText) != nil {
		return
	}
	want, _, wantErr := g.tree(t.Context(), text)
	got, _, err := g.parsed(t.Context(), text)
	if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
		t.Fatalf("%s: %v, want %v", text, err, wantErr)
	}
	for _, root := range []node{got, want} {
		walk(map[string]any(root), func(n node) { delete(n, "query_location") })
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n%v\nwant\n%v", text, got, want)
	}
}

// TestWhatQuotesHoldIsNotKept: a remembered text may not be a place to find secrets, nor grow.
func TestWhatQuotesHoldIsNotKept(t *testing.T) {
	g := newStore(t).querier().gate
	for range 2 {
		if _, err := g.parse(t.Context(), "SELECT 1 WHERE 'secret' = 'password'"); err != nil {
			t.Fatal(err)
		}
	}
	if g.texts.mu.hits != 1 {
		t.Errorf("%d hits", g.texts.mu.hits)
	}
	for key, root := range g.texts.mu.byKey {
		text := key
		walk(map[string]any(root), func(n node) { text += n.str("value") })
		if strings.Contains(text, "secret") || strings.Contains(text, "password") {
			t.Errorf("%s is kept", text)
		}
	}
	for i := range 3 * maxParsed {
		g.texts.keep(strings.Repeat("x", i), nil, maxParsedTree)
		if len(g.texts.mu.byKey) > maxParsed || g.texts.mu.bytes > maxParsedTrees {
			t.Fatalf("%d texts of %d bytes are kept", len(g.texts.mu.byKey), g.texts.mu.bytes)
		}
	}
}

func FuzzRememberedTexts(f *testing.F) {
	g := newStore(f).querier().gate
	for _, text := range quotedTexts {
		f.Add(text, "--")
	}
	literal := regexp.MustCompile(`'[^']*'`)
	f.Fuzz(func(t *testing.T, text, other string) {
		if strings.Contains(other, "'") {
			t.Skip()
		}
		sameTree(t, g, text)
		sameTree(t, g, literal.ReplaceAllLiteralString(text, "'"+other+"'"))
	})
}
