package schema

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Predicate is a condition on the tags of a row. It is a tree that is not changed once it
// is made; nil holds for every row. A tag that a row lacks is the empty text, as in InfluxDB.
type Predicate struct {
	Op PredicateOp
	// Tag is the name of a tag, and Text what it is compared with: of comparisons only. Names
	// that the table does not have, or has as a field, are those of tags that every row lacks.
	Tag, Text string
	// Args are the operands of And and Or.
	Args []*Predicate

	expr *regexp.Regexp // of Match and NoMatch
}

// PredicateOp is the kind of a Predicate. Values are part of the catalog's format.
type PredicateOp uint8

// The kinds of predicates.
const (
	And PredicateOp = 1 + iota // holds without operands
	Or                         // does not
	Equal
	NotEqual
	Match // a regular expression (RE2) finds something in the tag
	NoMatch
)

// Bounds of predicates: each row that may be deleted is compared with all of it.
const (
	// MaxPredicateNodes are the operators and comparisons in a predicate.
	MaxPredicateNodes = 1000
	// MaxPredicateDepth bounds how deep they are nested.
	MaxPredicateDepth = 100
	// MaxPredicateBytes bounds the names and texts in it.
	MaxPredicateBytes = 64 << 10
)

// ErrPredicate says that a predicate is too large, or has a regular expression that is none.
var ErrPredicate = errors.New("the predicate cannot be used")

// Compare returns the comparison of a tag with a text. The error is ErrPredicate for an
// expression that is none.
func Compare(tag string, op PredicateOp, text string) (*Predicate, error) {
	p := &Predicate{Op: op, Tag: tag, Text: text}
	if op != Match && op != NoMatch {
		return p, nil
	}
	expr, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPredicate, err)
	}
	p.expr = expr
	return p, nil
}

// Validate reports whether the predicate is within the bounds: ErrPredicate if not.
func (p *Predicate) Validate() error {
	nodes, size, depth := p.measure()
	if nodes > MaxPredicateNodes || size > MaxPredicateBytes || depth > MaxPredicateDepth {
		return fmt.Errorf("%w: it has %d conditions of %d bytes, nested %d deep; at most %d of %d bytes and %d deep can be",
			ErrPredicate, nodes, size, depth, MaxPredicateNodes, MaxPredicateBytes, MaxPredicateDepth)
	}
	return nil
}

func (p *Predicate) measure() (nodes, size, depth int) {
	if p == nil {
		return 0, 0, 0
	}
	nodes, size = 1, len(p.Tag)+len(p.Text)
	for _, a := range p.Args {
		n, s, d := a.measure()
		nodes, size, depth = nodes+n, size+s, max(depth, d)
	}
	return nodes, size, depth + 1
}

// Holds reports whether the predicate holds for a row, of which value returns the tags.
func (p *Predicate) Holds(value func(tag string) string) bool {
	return p.may(func(c *Predicate) bool { return c.holdsFor(value(c.Tag)) })
}

// MayHoldFor reports whether the predicate may hold for some row whose tags have one of the values each that wanted returns; without
// any a tag is whatever it may be.
func (p *Predicate) MayHoldFor(wanted func(tag string) []string) bool {
	return p.may(func(c *Predicate) bool {
		values := wanted(c.Tag)
		return len(values) == 0 || slices.ContainsFunc(values, c.holdsFor)
	})
}

// may reports whether the predicate may hold where its comparisons may.
func (p *Predicate) may(compare func(*Predicate) bool) bool {
	if p == nil {
		return true
	}
	switch p.Op {
	case And:
		for _, a := range p.Args {
			if !a.may(compare) {
				return false
			}
		}
		return true
	case Or:
		for _, a := range p.Args {
			if a.may(compare) {
				return true
			}
		}
		return false
	}
	return compare(p)
}

func (p *Predicate) holdsFor(value string) bool {
	switch p.Op {
	case Equal:
		return value == p.Text
	case NotEqual:
		return value != p.Text
	case Match:
		return p.expr.MatchString(value)
	case NoMatch:
		return !p.expr.MatchString(value)
	}
	return false
}

// mayHold reports whether the predicate may hold for some row of a file, of whose tags stats
// returns what is known, nil for one that all rows lack.
func (p *Predicate) mayHold(stats func(tag string) *ColumnStats) bool {
	return p.may(func(c *Predicate) bool { return c.mayHoldOf(stats(c.Tag)) })
}

// mayHoldOf is mayHold for a comparison of a tag.
func (p *Predicate) mayHoldOf(s *ColumnStats) bool {
	switch {
	case s == nil:
		return p.holdsFor("")
	case s.Nulls > 0 && p.holdsFor(""):
		return true
	case p.Op == Equal:
		return s.MayContain(p.Text)
	case bytes.Equal(s.Min, s.Max) && s.Max != nil && len(s.Max) < MaxStatBytes: // all rows have this value
		return p.holdsFor(string(s.Min))
	}
	return true
}

// MayContain reports whether some row may have a value. It compares with the bounds, each of which
// may be cut or unknown.
func (s *ColumnStats) MayContain(value string) bool {
	if s.Min != nil && bytes.Compare([]byte(value), s.Min) < 0 {
		return false
	}
	return s.Max == nil || bytes.Compare([]byte(value), s.Max) <= 0
}

// Tags returns the names of all tags in the predicate, each once.
func (p *Predicate) Tags() []string { return p.appendTags(nil, make(map[string]bool)) }

func (p *Predicate) appendTags(names []string, seen map[string]bool) []string {
	if p == nil {
		return names
	}
	if len(p.Args) == 0 && p.Op != And && p.Op != Or && !seen[p.Tag] {
		seen[p.Tag] = true
		names = append(names, p.Tag)
	}
	for _, a := range p.Args {
		names = a.appendTags(names, seen)
	}
	return names
}

// String writes the predicate as people read it, in the words of InfluxQL.
func (p *Predicate) String() string {
	if p == nil {
		return ""
	}
	switch p.Op {
	case And, Or:
		if len(p.Args) == 0 {
			return strconv.FormatBool(p.Op == And)
		}
		word := map[PredicateOp]string{And: " AND ", Or: " OR "}[p.Op]
		parts := make([]string, len(p.Args))
		for i, a := range p.Args {
			parts[i] = a.String()
			if len(a.Args) > 1 && a.Op != p.Op {
				parts[i] = "(" + parts[i] + ")"
			}
		}
		return strings.Join(parts, word)
	case Match:
		return quoteTag(p.Tag) + " =~ /" + strings.ReplaceAll(p.Text, "/", `\/`) + "/"
	case NoMatch:
		return quoteTag(p.Tag) + " !~ /" + strings.ReplaceAll(p.Text, "/", `\/`) + "/"
	case NotEqual:
		return quoteTag(p.Tag) + " != " + quoteText(p.Text)
	}
	return quoteTag(p.Tag) + " = " + quoteText(p.Text)
}

func quoteTag(name string) string { return `"` + escapeQuotes.Replace(name) + `"` }

func quoteText(text string) string { return "'" + escapeQuotes.Replace(text) + "'" }

var escapeQuotes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`, "\n", `\n`)
