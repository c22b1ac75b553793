package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shell is a process that runs a script and has written "ready" since.
func shell(t *testing.T, script string) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{name: "shell", log: filepath.Join(dir, "log"), command: func() *exec.Cmd {
		return exec.Command("sh", "-c", script) //nolint:noctx // the test ends it
	}}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Crash(); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "ready", func() bool { return strings.Contains(p.Log(5), "\nready") })
	return p
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// state returns the state of a process as the kernel has it, empty when there is
// none or it has only not been waited for.
func state(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	return strings.Trim(fields[0], "ZX")
}

func TestCrashTakesChildrenAlong(t *testing.T) {
	p := shell(t, "sleep 1000 & echo ready; wait")
	children := p.Children()
	if len(children) != 1 {
		t.Fatalf("Children() = %v, want one", children)
	}
	if err := p.Crash(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child is gone", func() bool { return state(children[0]) == "" })
	if p.Running() {
		t.Error("it runs after a crash")
	}
}

func TestKillLeavesChildrenAlone(t *testing.T) {
	p := shell(t, "sleep 1000 & echo ready; wait")
	child := p.Children()[0]
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if state(child) == "" {
		t.Error("the child went with its parent")
	}
	orphan, err := os.FindProcess(child)
	if err != nil {
		t.Fatal(err)
	}
	if err := orphan.Kill(); err != nil {
		t.Fatal(err)
	}
}

func TestPauseAndContinue(t *testing.T) {
	p := shell(t, "echo ready; while :; do sleep 0.01; done")
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is stopped", func() bool { return state(p.cmd.Process.Pid) == "T" })
	if err := p.Continue(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it goes on", func() bool { return state(p.cmd.Process.Pid) != "T" })
}

func TestStopDemandsACleanEnd(t *testing.T) {
	p := shell(t, "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	if err := p.Stop(); err != nil {
		t.Errorf("Stop() = %v", err)
	}
	p = shell(t, "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done")
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "ended with 3") {
		t.Errorf("Stop() = %v, want that it ended with 3", err)
	}
}
