// Package sandbox runs a test binary again inside namespaces of its own.
//
// Network, mounts and processes in there are nobody else's: whatever the test
// makes or starts ends with it, also when it is killed, because the kernel takes
// the namespaces down with their first process. Where namespaces are not
// permitted the test runs as it is.
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// variable tells the copy of the test binary what it is.
const variable = "MUSTER_FAULTS_SANDBOX"

const (
	inside = "inside"
	trial  = "trial" // only sees whether everything works
)

// Inside reports whether this process is the copy.
func Inside() bool { return os.Getenv(variable) == inside }

// Enter runs this program again, with its arguments, inside namespaces of its
// own, and returns the exit code once that has ended. ran is false when the
// caller has to go on by itself: in the copy, where everything is prepared then,
// or because this host does not permit it, which err says.
func Enter() (code int, ran bool, err error) {
	switch os.Getenv(variable) {
	case inside:
		return 0, false, prepare()
	case trial:
		if err := errors.Join(prepare(), tryBridge()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1, true, nil
		}
		return 0, true, nil
	}
	if out, err := again(trial).CombinedOutput(); err != nil {
		return 0, false, fmt.Errorf("no namespaces of one's own on this host: %w: %s", err, out)
	}
	// The kernel ends the copy when the thread that started it does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := again(inside)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, false, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals: // the go command ends a test that hangs with SIGQUIT
			_ = cmd.Process.Signal(s) // it may have ended
		case err := <-ended:
			if err != nil && cmd.ProcessState.ExitCode() < 0 {
				fmt.Fprintln(os.Stderr, "sandbox:", err)
				return 1, true, nil
			}
			return cmd.ProcessState.ExitCode(), true, nil
		}
	}
}

// again returns the command that runs this program in new namespaces.
func again(what string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...) //nolint:noctx // it lives as long as this process
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), variable+"="+what)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	return cmd
}

// prepare makes the new namespaces usable. Mounts made here are seen by nobody
// else: they are private from the root down.
func prepare() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// ip keeps the names of network namespaces there. Where there is no such
	// folder it makes one, which the host would see.
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "size=1m"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	return IP("link", "set", "lo", "up")
}

func tryBridge() error {
	if err := IP("link", "add", "name", "trial", "type", "bridge"); err != nil {
		return err
	}
	if err := IP("netns", "add", "trial"); err != nil {
		return err
	}
	return IP("link", "add", "name", "trial0", "type", "veth", "peer", "name", "eth0", "netns", "trial")
}

// IP runs iproute2's ip with args.
func IP(args ...string) error {
	path, err := IPPath()
	if err != nil {
		return err
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil { //nolint:noctx // takes milliseconds
		return fmt.Errorf("ip %q: %w: %s", args, err, out)
	}
	return nil
}

// IPPath returns the path of iproute2's ip, which often is not in a user's PATH.
func IPPath() (string, error) {
	for _, name := range []string{"ip", "/usr/sbin/ip", "/sbin/ip"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("ip of iproute2 is not installed")
}

// Tmpfs mounts a file system of its own on dir, which must be there, with room
// for so many bytes.
func Tmpfs(dir string, size int64) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		return fmt.Errorf("mount a tmpfs of %d bytes on %s: %w", size, dir, err)
	}
	return nil
}

// Unmount takes such a file system away.
func Unmount(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }
