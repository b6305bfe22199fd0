package kerneltest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestReferenceConforms(t *testing.T) { RunAll(t, refSet{}) }

// vocabulary lists the types of package kernels that have a Ref method.
func vocabulary(t *testing.T) (names []string) {
	files, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range files {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), "../"+e.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if m, ok := d.(*ast.FuncDecl); ok && m.Name.Name == "Ref" && m.Recv != nil {
				typ := m.Recv.List[0].Type
				if p, ok := typ.(*ast.StarExpr); ok {
					typ = p.X
				}
				names = append(names, typ.(*ast.Ident).Name)
			}
		}
	}
	return names
}

func TestEveryKernelHasARow(t *testing.T) {
	names := vocabulary(t)
	if len(names) < 25 {
		t.Fatalf("found only %d kernels in the source: %v", len(names), names)
	}
	for _, name := range names {
		if !slices.Contains(Families(), name) {
			t.Errorf("kernels.%s has no row in kerneltest's table: write its cases and add it to families", name)
		}
	}
	for _, f := range families {
		if !slices.Contains(names, f.name) {
			t.Errorf("the table has a row %s, package kernels has no such kernel", f.name)
		}
		for _, c := range f.cases(newGen(f.name)) {
			if got := reflect.TypeOf(c.K).Name(); got != f.name {
				t.Fatalf("row %s holds a case of %s", f.name, got)
			}
		}
	}
}

// recorder counts failures instead of failing.
type recorder struct{ failures []string }

func (r *recorder) Helper()             {}
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}
