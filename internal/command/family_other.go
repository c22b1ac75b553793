//go:build !linux

package command

import (
	"os/exec"
	"syscall"
)

// family is a program that runs, with its process group. What leaves that is out
// of reach here.
type family struct {
	mark string
	pid  int
}

func newFamily() *family { return &family{mark: "COMMAND_RUN=1"} }

func attributes(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func (f *family) start(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	f.pid = cmd.Process.Pid
	return nil
}

func (f *family) kill() { _ = syscall.Kill(-f.pid, syscall.SIGKILL) }

func (f *family) end() {}
