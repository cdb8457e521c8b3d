package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing that breaks the shape of the repository.
type Problem struct {
	File string // or the directory, when it concerns a package
	Text string
}

func (p Problem) String() string { return p.File + ": " + p.Text }

// Check reads every Go file under root and returns what breaks L1 to L4, in the
// order of the files.
func Check(root fs.FS) ([]Problem, error) {
	c := checker{documented: map[string]bool{}}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return c.enter(root, name)
		case strings.HasSuffix(name, ".go"):
			return c.file(root, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the tree: %w", err)
	}
	for pkg, ok := range c.documented {
		if !ok {
			c.report(pkg, "the package has no package comment")
		}
	}
	slices.SortFunc(c.problems, func(a, b Problem) int { return strings.Compare(a.String(), b.String()) })
	return c.problems, nil
}

type checker struct {
	documented map[string]bool // by package directory
	problems   []Problem
}

func (c *checker) report(file, format string, args ...any) {
	c.problems = append(c.problems, Problem{file, fmt.Sprintf(format, args...)})
}

// enter skips what is not a part of this module.
func (c *checker) enter(root fs.FS, dir string) error {
	if dir == "." {
		return nil
	}
	base := path.Base(dir)
	if base == "testdata" || strings.HasPrefix(base, ".") {
		return fs.SkipDir
	}
	if _, err := fs.Stat(root, dir+"/go.mod"); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (c *checker) file(root fs.FS, name string) error {
	src, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	dir, test := path.Dir(name), strings.HasSuffix(name, "_test.go")
	if !test {
		c.documented[dir] = c.documented[dir] || f.Doc != nil
	}
	from, ok := node(dir)
	if !ok {
		c.report(name, "package %s is not in the import graph of internal/lint", dir)
		return nil
	}
	for _, spec := range f.Imports {
		c.arrow(name, from, spec, test)
	}
	if owners, _ := confinedTo("flag"); !test && !slices.Contains(owners, from) {
		c.readsEnvironment(name, f)
	}
	return nil
}

// arrow checks one import of a file in the package that node from covers.
func (c *checker) arrow(file, from string, spec *ast.ImportSpec, test bool) {
	to, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		c.report(file, "import %s: %v", spec.Path.Value, err)
		return
	}
	if own, ok := strings.CutPrefix(to, modulePath+"/"); ok {
		target, known := node(own)
		if !known || !mayImport(from, target, test) {
			c.report(file, "import %s → %s is not in the graph", from, own)
		}
		return
	}
	if owners, ok := confinedTo(to); ok && !test && !slices.Contains(owners, from) {
		c.report(file, "import %s → %s is confined to %s", from, to, strings.Join(append(owners, "tests"), ", "))
	}
}

// readsEnvironment reports calls such as os.Getenv.
func (c *checker) readsEnvironment(file string, f *ast.File) {
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "os" && environment[sel.Sel.Name] {
			c.report(file, "os.%s: only cmd reads the environment", sel.Sel.Name)
		}
		return true
	})
}
