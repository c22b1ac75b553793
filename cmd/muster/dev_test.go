package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/musterhq/muster/internal/peer"
)

// What muster dev prints is run as printed.
func TestDevPrintsLinesThatAnswer(t *testing.T) {
	t.Parallel()
	peer.Path(t, "dig")
	peer.Path(t, "curl")
	temp := t.TempDir()
	p := process{t: t, args: []string{"dev", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--agent-http", "127.0.0.1:0"},
		env: []string{"TMPDIR=" + temp}}
	p.start()
	t.Cleanup(p.stop)
	p.await("lines to try", func() bool { return strings.Contains(p.log.String(), "Ctrl-C ends it.") })
	if left, err := os.ReadDir(temp); err != nil || len(left) != 1 {
		t.Errorf("data of a running dev = %v, %v, want one directory", left, err)
	}

	want := []struct{ begin, answer string }{
		{"dig @127.0.0.1 -p ", "IN\tSRV\t0 3000 "},
		{"dig @127.0.0.1 -p ", "127.0.0.1\n"},
		{"dig @127.0.0.1 -p ", "127.0.0.1\n"},
		{"curl 'http://127.0.0.1:", `"name":"DEFAULT_GROUP@@hello"`},
		{"curl -X POST 'http://127.0.0.1:", "true"},
		{"curl http://127.0.0.1:", "hello"},
	}
	lines := linesToTry(p.log.String())
	if len(lines) != len(want) {
		t.Fatalf("lines to try = %q, want %d", lines, len(want))
	}
	for i, line := range lines {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", line).Output()
		if !strings.HasPrefix(line, want[i].begin) || err != nil || !strings.Contains(string(out), want[i].answer) {
			t.Errorf("%s = %q, %v, want %s... to answer %q", line, out, err, want[i].begin, want[i].answer)
		}
	}

	p.end(os.Interrupt)
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("left behind = %v, %v, want nothing", left, err)
	}
}

// linesToTry returns the indented lines after "Try:".
func linesToTry(text string) (lines []string) {
	_, text, _ = strings.Cut(text, "Try:\n")
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(line, "  "); ok {
			lines = append(lines, strings.TrimSpace(command))
		}
	}
	return lines
}
