package query

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Programs ask the same thing again and again with other times and other tag values, which are texts in quotes.
// To parse such a text and to read its tree is a quarter of what a small query costs, and the tree
// is the same each time but for the values of some constants. So trees are remembered by the text without
// what its quotes hold, and copied with the new values.
//
// What makes that safe: what is remembered is the tree of a text in which each literal was replaced by a mark.
// Only where each mark is found in the tree as the value of a constant that is a text, and nowhere else, has the parser
// taken the literal for nothing but that. A literal has no quote in it and is no part of a longer one, and stands
// where no letter before the quote gives it another meaning; whatever it holds, the parser then sees
// the same tokens. Everything else, numbers too, which may be positions, limits and widths, is part of the key. The gate looks
// through the copy like any other tree.
//
// What the quotes of a user's query hold is never kept.

const (
	maxParsed      = 512
	maxParsedText  = 4 << 10  // of one text
	maxParsedTree  = 64 << 10 // of one tree, as the parser writes it; in memory it takes some six times as much
	maxParsedTrees = 1 << 20  // of all
	maxLiterals    = 64

	literalMark   = "siltstone_text_"
	literalDigits = 2
)

// parsedTexts are trees by their texts without literals; nil is one for which that cannot be done. When it is full it
// forgets all: what is asked for again is soon back.
type parsedTexts struct {
	mu struct {
		sync.Mutex
		byKey map[string]node
		bytes int
		hits  int
	}
}

func (p *parsedTexts) find(key string) (root node, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	root, known = p.mu.byKey[key]
	if root != nil {
		p.mu.hits++
	}
	return root, known
}

// keep remembers a tree, of which the parser wrote some bytes.
func (p *parsedTexts) keep(key string, root node, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes += len(key)
	if p.mu.byKey == nil || len(p.mu.byKey) >= maxParsed || p.mu.bytes+bytes > maxParsedTrees {
		p.mu.byKey, p.mu.bytes = make(map[string]node), 0
	}
	p.mu.byKey[key] = root
	p.mu.bytes += bytes
}

// parsed is tree, which it remembers.
func (g *gate) parsed(ctx context.Context, text string) (root, query node, err error) {
	marked, literals, ok := cutLiterals(text)
	if !ok {
		return g.tree(ctx, text)
	}
	pattern, known := g.texts.find(marked)
	if !known {
		var bytes int
		if pattern, bytes, err = g.pattern(ctx, marked, len(literals)); err != nil {
			return nil, nil, err
		}
		g.texts.keep(marked, pattern, bytes)
	}
	if pattern == nil {
		return g.tree(ctx, text)
	}
	root = asNode(withLiterals(map[string]any(pattern), literals))
	return root, asNode(root.list("statements")[0]).child("node"), nil
}

// pattern parses a text with marks. It returns nil where the parser refuses it, or takes a mark for something else than
// a text. The error is that of ctx or of the parser itself.
func (g *gate) pattern(ctx context.Context, marked string, marks int) (root node, bytes int, err error) {
	answer, err := g.serialize(ctx, marked)
	if err != nil {
		return nil, 0, err
	}
	if len(answer) > maxParsedTree {
		return nil, 0, nil
	}
	root, _, err = decodeTree(answer)
	if err != nil {
		return nil, 0, nil // the text itself says what is wrong
	}
	found, constants := make([]bool, marks), 0
	walk(map[string]any(root), func(n node) {
		s, isText := stringConstant(n)
		if i, isMark := markOf(s); isText && isMark && i < marks {
			found[i] = true
			constants++
		}
	})
	for _, isFound := range found {
		if !isFound {
			return nil, 0, nil
		}
	}
	if strings.Count(strings.ToLower(answer), literalMark) != constants {
		return nil, 0, nil
	}
	return root, len(answer), nil
}

// cutLiterals replaces the literals of a text by marks. It reports false for a text that is not to be remembered.
func cutLiterals(text string) (marked string, literals []string, ok bool) {
	if len(text) > maxParsedText || strings.Contains(strings.ToLower(text), literalMark) {
		return "", nil, false
	}
	var b strings.Builder
	for at := 0; at < len(text); {
		end, word := token(text, at)
		switch {
		case text[at] != '\'' || word != "'":
			b.WriteString(text[at:end])
		case !isPlainLiteral(text, at, end) || len(literals) == maxLiterals:
			return "", nil, false
		default:
			fmt.Fprintf(&b, "'%s%0*d'", literalMark, literalDigits, len(literals))
			literals = append(literals, text[at+1:end-1])
		}
		at = end
	}
	return b.String(), literals, true
}

// isPlainLiteral reports whether what lies between two quotes is a literal of its own and means what it says.
func isPlainLiteral(text string, at, end int) bool {
	if end < at+2 || text[end-1] != '\'' || end < len(text) && text[end] == '\'' {
		return false
	}
	return at > 0 && strings.IndexByte(" \t\r\n(,=<>[", text[at-1]) >= 0
}

// markOf returns the number of the literal that a mark stands for.
func markOf(s string) (int, bool) {
	digits, ok := strings.CutPrefix(s, literalMark)
	if !ok || len(digits) != literalDigits {
		return 0, false
	}
	i, err := strconv.Atoi(digits)
	return i, err == nil && i >= 0
}

// withLiterals copies a part of a tree, with the literals in the places of their marks.
func withLiterals(v any, literals []string) any {
	switch v := v.(type) {
	case []any:
		all := make([]any, len(v))
		for i, e := range v {
			all[i] = withLiterals(e, literals)
		}
		return all
	case map[string]any:
		copied := make(map[string]any, len(v))
		for key, e := range v {
			copied[key] = withLiterals(e, literals)
		}
		return copied
	case string:
		if i, isMark := markOf(v); isMark {
			return literals[i]
		}
	}
	return v
}
