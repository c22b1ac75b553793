package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// small are the plugins of a CoreDNS that needs no modules but those that Muster has.
var small = []string{"bind", "ready", "prometheus", "errors", "log", "file", "whoami"}

// BuildCoreDNS builds a CoreDNS below dir from the source that the tree at root depends
// on, with the plugin of the tree as the plugin's manual says, and returns its path. It
// takes minutes where nothing of it has been compiled before.
func BuildCoreDNS(ctx context.Context, root, dir string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	source, err := inFolder(ctx, root, "go list -m -f '{{.Dir}}' github.com/coredns/coredns")
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "coredns")
	if err := os.CopyFS(dir, os.DirFS(strings.TrimSpace(source))); err != nil {
		return "", err
	}
	manual, err := os.ReadFile(filepath.Join(root, "plugin", "README.md"))
	if err != nil {
		return "", err
	}
	line, commands := example(string(manual), "txt"), example(string(manual), "sh")
	// What go get would find is a release, and this is about the tree.
	const get, require = "go get github.com/musterhq/muster\n", "go mod edit -require=github.com/musterhq/muster@v0.0.0\n"
	if line == "" || !strings.HasPrefix(commands, get) {
		return "", fmt.Errorf("the manual of the plugin does not say how to compile it: line %q, commands %q", line, commands)
	}
	commands = require + strings.TrimPrefix(commands, get)
	if err := addPlugin(filepath.Join(dir, "plugin.cfg"), line); err != nil {
		return "", err
	}
	if err := borrowModules(dir, root); err != nil {
		return "", err
	}
	if _, err := inFolder(ctx, dir, commands); err != nil {
		return "", err
	}
	plugins, err := inFolder(ctx, dir, "./coredns -plugins")
	if err != nil {
		return "", err
	}
	if !slices.Contains(strings.Fields(plugins), "muster") {
		return "", fmt.Errorf("the CoreDNS that was built has the plugins %s, want muster among them", plugins)
	}
	return filepath.Join(dir, "coredns"), nil
}

// example returns the first example of a manual in that language, empty if there is
// none.
func example(manual, language string) string {
	_, text, _ := strings.Cut(manual, "\n~~~ "+language+"\n")
	text, _, _ = strings.Cut(text, "~~~\n")
	return text
}

// addPlugin leaves of a plugin.cfg what is small, and puts line in front of file.
func addPlugin(config, line string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	var b strings.Builder
	found := 0
	for old := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(old, ":")
		if !slices.Contains(small, name) {
			continue
		}
		if found++; name == "file" {
			b.WriteString(line)
		}
		b.WriteString(old)
	}
	if found != len(small) {
		return fmt.Errorf("%d plugins of %q are in plugin.cfg", found, small)
	}
	return replace(config, b.String())
}

// borrowModules gives a CoreDNS the modules of the tree at root, which stands for a
// release of itself.
func borrowModules(dir, root string) error {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return err
	}
	text := strings.Replace(string(mod), "module github.com/musterhq/muster\n", "module github.com/coredns/coredns\n", 1)
	text = regexp.MustCompile(`\n\s*github.com/coredns/coredns .*`).ReplaceAllString(text, "")
	text += "\nreplace github.com/musterhq/muster => " + root + "\n"
	if err := replace(filepath.Join(dir, "go.mod"), text); err != nil {
		return err
	}
	return replace(filepath.Join(dir, "go.sum"), string(sum))
}

// replace writes a file anew, also where the old one must not be written.
func replace(file, text string) error {
	if err := os.Remove(file); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o600)
}

// inFolder runs commands in a folder, and returns what they write.
func inFolder(ctx context.Context, dir, commands string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-ec", commands)
	cmd.Dir = dir
	// The flags are those of [BuildMuster], so that what that compiled is used again.
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOFLAGS=-mod=mod -trimpath -buildvcs=false")
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.TrimSpace(commands), err, problems.String())
	}
	return string(out), nil
}
