package query

import "sync"

// The name of an item of a SELECT that is rewritten is its old text, for which DuckDB has to
// print it: a tenth of what a small query costs. As dashboards ask for the same items again and
// again, printed texts are remembered.

const (
	maxNames     = 512
	maxNameBytes = 4 << 10 // of a tree and its text
)

// printedNames are texts of expressions by their trees. When it is full it forgets all: what
// is asked for again is soon back.
type printedNames struct {
	mu struct {
		sync.Mutex
		byTree map[string]string
	}
}

func (p *printedNames) find(tree string) (text string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text, ok = p.mu.byTree[tree]
	return text, ok
}

func (p *printedNames) keep(tree, text string) {
	if len(tree)+len(text) > maxNameBytes {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.byTree == nil || len(p.mu.byTree) >= maxNames {
		p.mu.byTree = make(map[string]string)
	}
	p.mu.byTree[tree] = text
}
