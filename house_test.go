// Package muster_test holds the rules of the house as tests: which package may
// import which, and what packages, files and tests look like. A rule that
// makes code worse is changed here, with the reason.
package muster_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxLines is how long a file may get before it is read again for two ideas.
const maxLines = 400

// longFiles are the files that may be longer, each with the reason.
var longFiles = map[string]string{}

// emptyNames finds a word that names no idea, wherever a name may hold one.
var emptyNames = regexp.MustCompile(`(?:(?:^|_)(?:util|common|helper|manager|impl|base)|(?:Util|Common|Helper|Manager|Impl|Base))s?(?:$|[A-Z0-9_])`)

// source is one Go file of the module.
type source struct {
	path string // below the module's root, with slashes
	*ast.File

	lines int
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

func TestEveryPackageHasADoc(t *testing.T) {
	docs := make(map[string]string) // by folder, empty if there is none so far
	names := make(map[string]string)
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		dir := filepath.Dir(s.path)
		names[dir] = s.Name.Name
		docs[dir] += s.Doc.Text()
	}
	for dir, name := range names {
		switch doc := docs[dir]; {
		case doc == "":
			t.Errorf("package %s (%s) has no doc comment: one sentence that says its one idea", name, dir)
		case name != "main" && !strings.HasPrefix(doc, "Package "+name+" "):
			first, _, _ := strings.Cut(doc, "\n")
			t.Errorf("the doc of package %s (%s) begins %q, want \"Package %[1]s ...\", and only one file with it", name, dir, first)
		}
	}
}

func TestNamesSayAnIdea(t *testing.T) {
	check := func(kind, name, path string) {
		if emptyNames.MatchString(name) {
			t.Errorf("%s %s (%s) says nothing about what it is for: name the idea", kind, name, path)
		}
	}
	for _, s := range sources(t) {
		check("package", s.Name.Name, s.path)
		check("file", strings.TrimSuffix(filepath.Base(s.path), ".go"), s.path)
		for n := range ast.Preorder(s.File) {
			if spec, ok := n.(*ast.TypeSpec); ok {
				check("type", spec.Name.Name, s.path)
			}
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	long := make(map[string]bool)
	for _, s := range sources(t) {
		if s.lines <= maxLines || s.isTest() || ast.IsGenerated(s.File) {
			continue
		}
		long[s.path] = true
		if longFiles[s.path] == "" {
			t.Errorf("%s has %d lines, over %d: look for two ideas, or give the reason in longFiles", s.path, s.lines, maxLines)
		}
	}
	for path := range longFiles {
		if !long[path] {
			t.Errorf("%s is in longFiles and needs it no more", path)
		}
	}
}

func TestTestsSleepInVirtualTimeOnly(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() && calls(s, "time", "Sleep") && !calls(s, "synctest", "Test") {
			t.Errorf("%s sleeps in real time: use testing/synctest, or poll a condition until a deadline", s.path)
		}
	}
}

// A test that skips itself is not there when it is needed; package peer knows
// the one reason to skip, and that it is none in CI.
func TestNoTestSkips(t *testing.T) {
	for _, s := range sources(t) {
		if strings.HasPrefix(s.path, "internal/peer/") {
			continue
		}
		for _, variable := range []string{"t", "tb", "b", "f"} {
			if slices.ContainsFunc([]string{"Skip", "Skipf", "SkipNow"}, func(f string) bool { return calls(s, variable, f) }) {
				t.Errorf("%s skips a test: peer.Path finds peer programs; a fuzz test returns instead", s.path)
			}
		}
	}
}

// calls reports whether s calls name.function, a function of a package or the
// method of a variable of that name.
func calls(s source, name, function string) bool {
	for n := range ast.Preorder(s.File) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			continue
		}
		fun, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || fun.Sel.Name != function {
			continue
		}
		if x, ok := fun.X.(*ast.Ident); ok && x.Name == name {
			return true
		}
	}
	return false
}

// sources returns all Go files of the module. Folders that the go command
// passes over are passed over here.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		switch {
		case d.IsDir() && path != "." && (name == "testdata" || name == "tools" || strings.ContainsAny(name[:1], "._")):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		s, err := parse(path)
		if err == nil {
			all = append(all, s)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func parse(path string) (source, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return source{}, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	return source{path: filepath.ToSlash(path), File: file, lines: strings.Count(string(text), "\n")}, nil
}
