package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/musterhq/muster/test/binary"
)

// root is the folder of the module, seen from this package.
const root = "../.."

// plant is a bug that is put into a copy of one source file of the server.
type plant struct {
	name string
	file string // below the module's root
	old  string // stands in the file exactly once
	new  string
	// extra is the rest of a file that is added to the package, after its package
	// clause; empty: none.
	extra string
}

// sow returns the text of the file with the bug in it.
func (p plant) sow() (string, error) {
	b, err := os.ReadFile(filepath.Join(root, p.file))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(b), p.old); n != 1 {
		return "", fmt.Errorf("%q stands %d times in %s, want once: fit the planted bug %q to the code", p.old, n, p.file, p.name)
	}
	return strings.Replace(string(b), p.old, p.new, 1), nil
}

// build builds muster with the planted bugs into dir and returns its path. The
// bugs are laid over the sources; no file of the tree changes.
func build(ctx context.Context, dir string, plants []plant) (string, error) {
	var flags []string
	if *raceFlag {
		flags = append(flags, "-race")
	}
	if len(plants) > 0 {
		path, err := overlay(dir, plants)
		if err != nil {
			return "", err
		}
		flags = append(flags, "-overlay", path)
	}
	return binary.Build(ctx, root, dir, flags...)
}

// overlay writes the files of the planted bugs, and what tells the go command to
// use them.
func overlay(dir string, plants []plant) (string, error) {
	replace := make(map[string]string)
	for i, p := range plants {
		text, err := p.sow()
		if err != nil {
			return "", err
		}
		original, err := filepath.Abs(filepath.Join(root, p.file))
		if err != nil {
			return "", err
		}
		if replace[original] != "" {
			return "", fmt.Errorf("two planted bugs in %s", p.file)
		}
		replace[original] = filepath.Join(dir, fmt.Sprintf("planted-%d.go", i))
		if err := os.WriteFile(replace[original], []byte(text), 0o600); err != nil {
			return "", err
		}
		if p.extra == "" {
			continue
		}
		added := filepath.Join(filepath.Dir(original), "planted.go")
		replace[added] = filepath.Join(dir, fmt.Sprintf("planted-%d-extra.go", i))
		clause := "package " + filepath.Base(filepath.Dir(original)) + "\n\n"
		if err := os.WriteFile(replace[added], []byte(clause+p.extra), 0o600); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}
