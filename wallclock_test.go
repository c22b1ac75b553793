package muster_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// monotonic are the packages that decide by time: who is silent, what is due, when
// to give up. A wall clock that is set must change none of it, so they compare and
// subtract only times that carry a monotonic reading.
var monotonic = []string{"agent", "probe", "server/sweep", "server/check", "server/relay", "internal/sdnotify", "internal/command"}

// wallTimes are the functions that compare wall times on purpose, each with the
// reason why a clock that is set does no harm there.
var wallTimes = map[string]string{
	"agent/localdns/snapshot.go time": "over a restart nothing else says how old an answer is; asked once, and never into the future",
}

// A time loses its monotonic reading in these methods and functions of package
// time, and in every encoding.
var (
	stripping = []string{"UTC", "Local", "In", "Round", "Truncate"}
	wallMade  = []string{"Unix", "UnixMilli", "UnixMicro", "Date", "Parse", "ParseInLocation"}
	comparing = []string{"Before", "After", "Sub", "Equal", "Compare"}
	numbers   = []string{"Unix", "UnixMilli", "UnixMicro", "UnixNano"}
)

func TestDeadlinesAreMonotonic(t *testing.T) {
	byFolder := make(map[string][]source)
	for _, s := range sources(t) {
		folder := filepath.ToSlash(filepath.Dir(s.path))
		if !s.isTest() && slices.ContainsFunc(monotonic, func(p string) bool { return folder == p || strings.HasPrefix(folder, p+"/") }) {
			byFolder[folder] = append(byFolder[folder], s)
		}
	}
	needed := make(map[string]bool)
	for _, files := range byFolder {
		persisted := persistedTimes(files)
		for _, s := range files {
			for _, function := range wallComparisons(s.File, persisted) {
				at := s.path + " " + function
				needed[at] = true
				if wallTimes[at] == "" {
					t.Errorf("%s compares or subtracts a time without a monotonic reading (from %q, package time's %q, a number, or a field that is encoded): "+
						"keep the time.Time that time.Now returned, or give the reason in wallTimes", at, stripping, wallMade)
				}
			}
		}
	}
	for at := range wallTimes {
		if !needed[at] {
			t.Errorf("%s is in wallTimes and needs it no more", at)
		}
	}
}

// The check must find what is planted, and let be what is right.
func TestWallComparisonsAreFound(t *testing.T) {
	const head = "package p\nimport \"time\"\ntype kept struct { Seen time.Time `json:\"seen\"`; at time.Time }\nfunc f(k kept, now, deadline time.Time, stamp int64) any {\n"
	for body, want := range map[string]bool{
		"return now.After(deadline)":                                             false,
		"return time.Since(k.at) > time.Second":                                  false,
		"<-time.After(time.Second); return nil":                                  false,
		"return time.Until(deadline).Round(time.Second)":                         false,
		"return now.UTC()":                                                       false,
		"d := now.Sub(deadline).Truncate(time.Second); return d > 0":             false,
		"return now.UTC().After(deadline)":                                       true,
		"return now.Before(deadline.Round(0))":                                   true,
		"return deadline.Truncate(time.Second).Sub(now)":                         true,
		"return time.Since(time.Unix(stamp, 0))":                                 true,
		"return now.Sub(time.UnixMilli(stamp).Add(time.Second))":                 true,
		"return time.Until(k.Seen)":                                              true,
		"return now.After(k.Seen.Add(time.Minute))":                              true,
		"at := time.Now().UTC(); return time.Since(at)":                          true,
		"at := time.Unix(stamp, 0); until := at.Add(9); return now.After(until)": true,
		"return now.Unix() > stamp":                                              true,
		"return time.Now().UnixNano() - stamp":                                   true,
		"t, _ := time.Parse(time.RFC3339, \"x\"); return t.Before(now)":          true,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "planted.go", head+body+"\n}\n", parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		planted := source{path: "planted.go", File: file}
		if got := len(wallComparisons(file, persistedTimes([]source{planted}))) > 0; got != want {
			t.Errorf("%s: found = %v, want %v", body, got, want)
		}
	}
}

// persistedTimes returns the names of the fields of type time.Time that are
// encoded: what is read back carries no monotonic reading.
func persistedTimes(files []source) map[string]bool {
	names := make(map[string]bool)
	for _, s := range files {
		for n := range ast.Preorder(s.File) {
			f, ok := n.(*ast.Field)
			if !ok || f.Tag == nil || strings.Contains(f.Tag.Value, `:"-"`) || !isSelector(f.Type, "time", "Time") {
				continue
			}
			for _, name := range f.Names {
				names[name.Name] = true
			}
		}
	}
	return names
}

func isSelector(e ast.Expr, x, sel string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != sel {
		return false
	}
	id, ok := s.X.(*ast.Ident)
	return ok && id.Name == x
}

// wallComparisons returns the names of the functions of file that compare or
// subtract times without a monotonic reading. It goes by names, not types: what
// has the name of a persisted field counts as one.
func wallComparisons(file *ast.File, persisted map[string]bool) (functions []string) {
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		w := walls{persisted: persisted, variables: make(map[string]bool)}
		for range 2 { // a variable may be made of one that is assigned further down
			w.assign(f.Body)
		}
		for n := range ast.Preorder(f.Body) {
			if w.compares(n) {
				functions = append(functions, f.Name.Name)
				break
			}
		}
	}
	return functions
}

// walls knows what in one function is a wall time.
type walls struct{ persisted, variables map[string]bool }

func (w walls) assign(body ast.Node) {
	for n := range ast.Preorder(body) {
		a, ok := n.(*ast.AssignStmt)
		if !ok {
			continue
		}
		for i, to := range a.Lhs {
			if id, ok := to.(*ast.Ident); ok && w.is(a.Rhs[min(i, len(a.Rhs)-1)]) && (i == 0 || len(a.Lhs) == len(a.Rhs)) {
				w.variables[id.Name] = true
			}
		}
	}
}

// is reports whether e is a time without a monotonic reading.
func (w walls) is(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return w.is(e.X)
	case *ast.Ident:
		return w.variables[e.Name]
	case *ast.SelectorExpr:
		return w.persisted[e.Sel.Name]
	case *ast.CallExpr:
		f, ok := e.Fun.(*ast.SelectorExpr)
		if !ok {
			return false
		}
		if id, ok := f.X.(*ast.Ident); ok && id.Name == "time" {
			return slices.Contains(wallMade, f.Sel.Name)
		}
		if f.Sel.Name == "Round" || f.Sel.Name == "Truncate" {
			return !w.duration(f.X)
		}
		return slices.Contains(stripping, f.Sel.Name) && len(e.Args) <= 1 || f.Sel.Name == "Add" && w.is(f.X)
	}
	return false
}

// duration reports whether e is a difference of times.
func (w walls) duration(e ast.Expr) bool {
	c, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := c.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"Sub", "Since", "Until", "Duration"}, f.Sel.Name)
}

// compares reports whether n compares or subtracts a wall time.
func (w walls) compares(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		ordered := []token.Token{token.LSS, token.LEQ, token.GTR, token.GEQ, token.SUB}
		return slices.Contains(ordered, n.Op) && (isNumber(n.X) || isNumber(n.Y))
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.SelectorExpr)
		if !ok || len(n.Args) == 0 {
			return false
		}
		if isSelector(f, "time", "Since") || isSelector(f, "time", "Until") {
			return w.is(n.Args[0])
		}
		return len(n.Args) == 1 && slices.Contains(comparing, f.Sel.Name) && (w.is(f.X) || w.is(n.Args[0]))
	}
	return false
}

// isNumber reports whether e is a wall time as a number.
func isNumber(e ast.Expr) bool {
	c, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := c.Fun.(*ast.SelectorExpr)
	return ok && len(c.Args) == 0 && slices.Contains(numbers, f.Sel.Name)
}
