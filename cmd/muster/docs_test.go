package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/peer"
)

// TestDocuments runs the examples of README.md and docs. The blocks of a document
// that are marked sh are run in their order, in one directory, against a `muster
// dev` of the document's own; blocks that are marked otherwise are not.
//
// A block is one script: it fails with the first command that does, or with an
// answer of HTTP that is an error. What follows `# =>` is expected in its output,
// one line after the other; … there stands for any text.
func TestDocuments(t *testing.T) {
	path := usersPath(os.Getenv("PATH"))
	for _, program := range []string{"curl", "dig", "openssl"} {
		path = filepath.Dir(peer.Path(t, program)) + string(filepath.ListSeparator) + path
	}
	for _, name := range documents(t) {
		blocks := fenced(t, name, "sh")
		if len(blocks) == 0 {
			continue
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			d := startDev(t)
			env := append(os.Environ(), "PATH="+path, "MUSTER_SERVER=http://"+d.http, "MUSTER_AGENT_HTTP="+d.agent, "CURL_HOME="+curlHome(t))
			dir := t.TempDir()
			if err := os.Symlink(filepath.Join(d.data, "services.d"), filepath.Join(dir, "services.d")); err != nil {
				t.Fatal(err)
			}
			for _, b := range blocks {
				b.run(t, d, dir, env)
			}
		})
	}
}

// TestDocumentedSettings checks every block of documents that is marked yaml, as
// `muster check` does. The certificates they name, which it looks at last, are not
// here.
func TestDocumentedSettings(t *testing.T) {
	for _, name := range documents(t) {
		for _, b := range fenced(t, name, "yaml") {
			path := fileWith(t, b.text)
			if err := checkFile(guessKind(path, b.text), path, []byte(b.text)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", b.where, err)
			}
		}
	}
}

// TestDocumentedCorefiles checks every block of documents that is marked corefile.
func TestDocumentedCorefiles(t *testing.T) {
	for _, name := range documents(t) {
		for _, b := range fenced(t, name, "corefile") {
			if err := checkFile("corefile", b.where, []byte(b.text)); err != nil {
				t.Errorf("%s: %v", b.where, err)
			}
		}
	}
}

// TestDocumentedFiles follows the links of documents to other files.
func TestDocumentedFiles(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for _, name := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(textOf(t, name), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s leads to %s: %v", name, m[1], err)
			}
		}
	}
}

// documents returns the paths of README.md and of the pages in docs.
func documents(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("pages in docs = %v, %v, want some", pages, err)
	}
	readme, _ := filepath.Glob("../../README.md") // the pattern is good
	return append(readme, pages...)
}

// block is one fenced block of a document.
type block struct {
	where string // file:line
	text  string
}

func fenced(t *testing.T, name, mark string) []block {
	t.Helper()
	content := textOf(t, name)
	var all []block
	for _, at := range regexp.MustCompile("(?ms)^```"+mark+"\n(.*?)^```$").FindAllStringSubmatchIndex(content, -1) {
		line := 2 + strings.Count(content[:at[0]], "\n")
		all = append(all, block{filepath.Base(name) + ":" + strconv.Itoa(line), content[at[2]:at[3]]})
	}
	return all
}

// statusMark begins the line on which curl tells the status of an answer.
const statusMark = "answered with status "

// curlHome returns a directory with settings for curl that make it tell the
// status of each answer apart from its body.
func curlHome(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	settings := "silent\nshow-error\nnoproxy = \"*\"\nmax-time = 30\nwrite-out = \"%{stderr}\\n" + statusMark + "%{http_code}\\n\"\n"
	if err := os.WriteFile(filepath.Join(dir, ".curlrc"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (b block) run(t *testing.T, d *devProcess, dir string, env []string) {
	t.Helper()
	text := d.here(b.text)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-eux", "-c", text)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, env, time.Second
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v, want an example that works\n%s\n%s", b.where, err, &stdout, &stderr)
	}
	expected := regexp.MustCompile(`(?m)^\s*# => (.*)$`).FindAllStringSubmatch(text, -1)
	for line := range strings.Lines(stderr.String()) {
		code, found := strings.CutPrefix(strings.TrimSpace(line), statusMark)
		if found && code >= "400" && !slices.ContainsFunc(expected, func(e []string) bool { return strings.HasPrefix(e[1], "HTTP/1.1 "+code) }) {
			t.Errorf("%s: status %s, want none that is an error\n%s\n%s", b.where, code, &stdout, &stderr)
		}
	}
	rest := stdout.String()
	for _, e := range expected {
		at := loosely(e[1]).FindStringIndex(rest)
		if at == nil {
			t.Fatalf("%s: %q is not in the output, or not in this order:\n%s\n%s", b.where, e[1], &stdout, &stderr)
		}
		rest = rest[at[1]:]
	}
}

// loosely matches a line in which … stands for any text, and white space for any.
func loosely(line string) *regexp.Regexp {
	p := regexp.QuoteMeta(strings.Join(strings.Fields(line), " "))
	return regexp.MustCompile(strings.NewReplacer(" ", `[ \t]+`, "…", ".*").Replace(p))
}

// devProcess is a running `muster dev`.
type devProcess struct {
	process
	http, dns, agent, agentDNS, data string
}

// startDev starts a `muster dev` on free ports, waits until it says that it runs,
// and stops it when the test ends.
func startDev(t *testing.T) *devProcess {
	t.Helper()
	d := &devProcess{process: process{t: t, args: []string{"dev", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--agent-http", "127.0.0.1:0"}}}
	d.start()
	t.Cleanup(d.stop)
	d.await("list of what to try", func() bool { return strings.Contains(d.log.String(), "Ctrl-C ends it.") })
	said := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(d.log.String())
		if m == nil {
			t.Fatalf("%v says nothing like %s:\n%s", d.args, pattern, d.log)
		}
		return m[1]
	}
	d.http, d.dns, d.data = said(`HTTP +http://(\S+)`), said(`DNS +(\S+)`), said(`data +(.*), removed`)
	var a struct{ HTTP, DNS string }
	if err := json.Unmarshal([]byte(textOf(t, filepath.Join(d.data, "agent", "addresses.json"))), &a); err != nil {
		t.Fatal(err)
	}
	d.agent, d.agentDNS = a.HTTP, a.DNS
	return d
}

// here puts the addresses of d where a document has those that are usual.
func (d *devProcess) here(text string) string {
	_, port, _ := net.SplitHostPort(d.dns)
	_, agentPort, _ := net.SplitHostPort(d.agentDNS)
	return strings.NewReplacer("127.0.0.1:8848", d.http, "127.0.0.1:8849", d.agent, "127.0.0.1:1053", d.dns, "-p 1053", "-p "+port, "-p 1054", "-p "+agentPort).Replace(text)
}
