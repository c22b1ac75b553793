package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	binary := filepath.Join(dir, "muster")
	// As `make build` does it, so that what that compiled is used again.
	args, cgo := []string{"build", "-buildvcs=false", "-trimpath", "-o", binary}, "CGO_ENABLED=0"
	if *raceFlag {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	if len(plants) > 0 {
		path, err := overlay(dir, plants)
		if err != nil {
			return "", err
		}
		args = append(args, "-overlay", path)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/muster")...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	return binary, nil
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

// buildEtcd returns the path of the etcd that the module of the tools names. The
// go command keeps what it built, so only the first time is long.
func buildEtcd(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "-modfile=tools/go.mod", "-n", "go.etcd.io/etcd/server/v3")
	cmd.Dir = root
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build etcd: %w\n%s", err, problems.String())
	}
	return strings.TrimSpace(string(out)), nil
}
