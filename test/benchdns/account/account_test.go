package account_test

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/musterhq/muster/test/benchdns/account"
	"github.com/musterhq/muster/test/binary"
)

func TestTree(t *testing.T) {
	child := exec.CommandContext(t.Context(), "sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait() // it was killed
	}()
	tree, err := account.Tree(os.Getpid())
	if err != nil || len(tree) < 2 || tree[0] != os.Getpid() || !slices.Contains(tree, child.Process.Pid) {
		t.Errorf("tree of %d = %v, %v, want it first, and its child %d", os.Getpid(), tree, err, child.Process.Pid)
	}
	if n, err := tree.Memory(); err != nil || n < 1<<20 {
		t.Errorf("memory = %d, %v, want some MiB", n, err)
	}
}

// The clocks of a process go on while it works, and both say the same.
func TestCPU(t *testing.T) {
	own := account.Processes{os.Getpid()}
	before, err := own.CPU()
	if err != nil {
		t.Fatal(err)
	}
	self, err := account.Self()
	if err != nil {
		t.Fatal(err)
	}
	watch, err := account.NewWatch(func() (time.Duration, error) { return 0, nil })
	if err != nil {
		t.Fatal(err)
	}
	var after time.Duration
	binary.Eventually(t, time.Minute, "a fifth of a second of work", func() bool {
		for range 1_000_000 { // it takes a moment
			after++
		}
		after, err = own.CPU()
		return err != nil || after-before > 200*time.Millisecond
	})
	if err != nil {
		t.Fatal(err)
	}
	now, err := account.Self()
	if worked, bySelf := after-before, now-self; err != nil || bySelf < worked*3/4 {
		t.Errorf("worked for %v by the clock of the process and for %v by its account (%v), want about the same", worked, bySelf, err)
	}
	if others, err := watch.Others(); err != nil || others <= 0 {
		t.Errorf("used by others than nobody: %v, %v, want something", others, err)
	}
}

func TestGone(t *testing.T) {
	child := exec.CommandContext(t.Context(), "true")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	gone := account.Processes{child.Process.Pid}
	if d, err := gone.CPU(); err == nil {
		t.Errorf("CPU of a process that has ended = %v, want an error", d)
	}
	if n, err := gone.Memory(); err == nil {
		t.Errorf("memory of a process that has ended = %d, want an error", n)
	}
}

// Nobody uses less than nothing, and all that is used is somebody's.
func TestQuiet(t *testing.T) {
	nobody := func() (time.Duration, error) { return 0, nil }
	if others, err := account.Quiet(t.Context(), nobody, 1000, time.Millisecond, time.Minute); err != nil || others < 0 {
		t.Errorf("others use %v, %v", others, err)
	}
	if others, err := account.Quiet(t.Context(), nobody, -1, time.Millisecond, 10*time.Millisecond); err != nil || others < 0 {
		t.Errorf("after all patience others use %v, %v", others, err)
	}
}
