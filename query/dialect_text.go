package query

import (
	"encoding/json"
	"strings"
)

// Two things get lost between the text and the tree, and are noted here by the places that the
// parser itself gives to expressions:
//
//   - The parser refuses WITHIN GROUP after any name but those of the standard. So the name
//     approx_percentile_cont becomes percentile_cont, of the same length with spaces, and
//     what the parser makes of it is changed back.
//   - x ~ y and x SIMILAR TO y become the same function, which matches the whole of x. In
//     InfluxDB and PostgreSQL ~ is content with a part.

const (
	approximate = "approx_percentile_cont"
	exact       = "percentile_cont       "
)

// standardNames replaces approx_percentile_cont where WITHIN GROUP follows its arguments, and
// returns where it did.
func standardNames(text string) (normal string, places map[int]bool) {
	if len(text) < len(approximate) || !strings.Contains(strings.ToLower(text), "within") {
		return text, nil
	}
	places = make(map[int]bool)
	none := call{name: -1, comma: -1}
	var open []call // around the token
	last, named := none, false
	for at := 0; at < len(text); {
		end, word := token(text, at)
		switch {
		case word == "":
		case strings.EqualFold(word, approximate):
			last, named = call{name: at, comma: -1}, true
		case word == "(":
			if !named {
				last = none
			}
			open, last, named = append(open, last), none, false
		case word == "," && len(open) > 0 && open[len(open)-1].comma < 0:
			open[len(open)-1].comma = at
			last, named = none, false
		case word == ")" && len(open) > 0:
			last, open, named = open[len(open)-1], open[:len(open)-1], false
			last.end = at
		case strings.EqualFold(word, "within") && last.name >= 0 && !named:
			places[last.name] = true
			text = last.standard(text)
			last = none
		default:
			last, named = none, false
		}
		at = end
	}
	return text, places
}

// call is a name and the parentheses behind it, by their places; -1 for what is not there.
type call struct{ name, comma, end int }

// standard gives a call the name that the parser knows, and takes the number of centroids from
// it, which the standard does not have.
func (c call) standard(text string) string {
	text = text[:c.name] + exact + text[c.name+len(exact):]
	if c.comma >= 0 {
		text = text[:c.comma] + strings.Repeat(" ", c.end-c.comma) + text[c.end:]
	}
	return text
}

// token returns where the token at a place ends and what it is: a word, a character, or nothing
// for space and comments. What is quoted is some token that equals no word.
func token(text string, at int) (end int, word string) {
	rest := text[at:]
	if skipped := skipSpace(rest); len(skipped) < len(rest) {
		return at + len(rest) - len(skipped), ""
	}
	switch c := rest[0]; {
	case c == '\'' || c == '"':
		closing := strings.IndexByte(rest[1:], c)
		if closing < 0 {
			return len(text), "'"
		}
		return at + closing + 2, "'"
	case c == '$':
		if tag := dollarTag(rest); tag != "" {
			_, behind, _ := strings.Cut(rest[len(tag):], tag)
			return len(text) - len(behind), "'"
		}
	case c == '_' || c >= 0x80 || isAlphanumeric(c):
		n := 1
		for n < len(rest) && (rest[n] == '_' || rest[n] >= 0x80 || isAlphanumeric(rest[n])) {
			n++
		}
		return at + n, rest[:n]
	}
	return at + 1, rest[:1]
}

// dollarTag returns the $tag$ that begins a text quoted by it.
func dollarTag(s string) string {
	end := strings.IndexByte(s[1:], '$')
	if end < 0 || strings.ContainsFunc(s[1:1+end], func(r rune) bool { return r < 0x80 && r != '_' && !isAlphanumeric(byte(r)) }) {
		return ""
	}
	return s[:end+2]
}

// location returns where an expression is in the text.
func location(n node) int {
	number, _ := n["query_location"].(json.Number)
	v, err := number.Int64()
	if err != nil {
		return -1
	}
	return int(v)
}

// needsPlaces reports whether restoreNames has something to do.
func needsPlaces(text string, places map[int]bool) bool {
	return len(places) > 0 || strings.Contains(text, "~")
}

// restoreNames changes what standardNames replaced, and makes ~ and !~ match a part.
func restoreNames(query node, text string, places map[int]bool) {
	if !needsPlaces(text, places) {
		return
	}
	walk(query, func(n node) {
		at := location(n)
		if at < 0 || at >= len(text) {
			return
		}
		switch {
		case n.str("function_name") == "quantile_cont" && places[at]:
			approximateWithinGroup(n)
		case n.str("function_name") == fullMatch && text[at] == '~':
			n["function_name"] = "regexp_matches"
		case n.str("type") == "OPERATOR_NOT" && text[at] == '!':
			if child := asNode(n.list("children")[0]); child.str("function_name") == fullMatch && location(child) < 0 {
				child["function_name"] = "regexp_matches"
			}
		}
	})
}

const fullMatch = "regexp_full_match"

// approximateWithinGroup makes quantile_cont(p ORDER BY x) a call of the form that needs no
// order; in descending order it is the fraction from the other end.
func approximateWithinGroup(n node) {
	orders := nodes(n.child("order_bys").list("orders"))
	args := n.list("children")
	if len(orders) != 1 || len(args) < 1 {
		return
	}
	fraction := args[0]
	if orders[0].str("type") == "DESCENDING" {
		minus := clone(n)
		minus["filter"], minus["distinct"], minus["function_name"], minus["is_operator"] = nil, false, "-", true
		minus["order_bys"] = map[string]any{"orders": []any{}, "type": "ORDER_MODIFIER"}
		minus["children"] = []any{map[string]any(constantNode("INTEGER", json.Number("1"))), fraction}
		fraction = map[string]any(minus)
	}
	n["function_name"] = approximate
	n["children"] = append([]any{map[string]any(orders[0].child("expression")), fraction}, args[1:]...)
	n["order_bys"] = map[string]any{"orders": []any{}, "type": "ORDER_MODIFIER"}
}
