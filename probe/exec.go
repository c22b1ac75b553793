package probe

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/musterhq/muster/internal/command"
)

// Bounds of an exec check.
const (
	maxArgs   = 64
	maxArgv   = 16 << 10
	keptOfOut = 256 // bytes of the end of the output, for the status
)

// program passes when a program of this host exits with 0. Any other status
// fails: there is no verdict between the two, so 1 is no warning here.
type program struct{ command.Command }

func newExec(c Check, _ *Guard) (Prober, error) {
	total := 0
	for _, arg := range c.Exec {
		total += len(arg)
		if strings.ContainsRune(arg, 0) {
			return nil, errors.New("an argument holds a zero byte")
		}
	}
	if len(c.Exec) > maxArgs || total > maxArgv {
		return nil, fmt.Errorf("more than %d words or %d bytes", maxArgs, maxArgv)
	}
	return &program{command.Command{Argv: slices.Clone(c.Exec), Keep: keptOfOut, Alone: true}}, nil
}

func (p *program) runsProgram() {}

func (p *program) Probe(ctx context.Context) error {
	_, err := p.Run(ctx)
	return failure(ctx, exited(err))
}

// noProcess are errors of a host that can start nothing just now.
var noProcess = append(slices.Clone(noResources), syscall.EAGAIN, syscall.ETXTBSY)

// exited returns err, of a command, as an *Error.
func exited(err error) error {
	e, ok := errors.AsType[*command.Error](err)
	if !ok {
		return err
	}
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		return wrongAnswer(e)
	}
	for _, known := range noProcess {
		if errors.Is(err, known) {
			return &Error{NotTried, e}
		}
	}
	return &Error{NotSetUp, e}
}
