package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/musterhq/muster/internal/command"
)

// unitPattern is what systemd.unit(5) lets a unit be called.
var unitPattern = regexp.MustCompile(`^[0-9A-Za-z:_.\\@][0-9A-Za-z:_.\\@-]{0,254}$`)

// systemd passes while a unit is active. It asks systemctl: a client of D-Bus
// would be linked into the agent for the few checks of this kind that there are.
type systemd struct {
	unit   string
	booted string // a directory that is there where systemd runs, as sd_booted(3) says
}

func newSystemd(c Check, _ *Guard) (Prober, error) {
	if !unitPattern.MatchString(c.Systemd) {
		return nil, fmt.Errorf("%q is no name of a unit", c.Systemd)
	}
	return &systemd{c.Systemd, "/run/systemd/system"}, nil
}

func (p *systemd) runsProgram() {}

func (p *systemd) Probe(ctx context.Context) error {
	if _, err := os.Stat(p.booted); err != nil {
		return &Error{NotSetUp, errors.New("systemd does not run on this host")}
	}
	c := command.Command{Argv: []string{"systemctl", "show", "--property=LoadState,ActiveState,SubState", "--", p.unit}, Keep: 1 << 10, Alone: true}
	output, err := c.Run(ctx)
	if err != nil {
		err = exited(err)
		if e, ok := errors.AsType[*Error](err); ok && e.Reason == WrongAnswer {
			e.Reason = NotSetUp // it tells of any unit, so it could not ask
		}
		return failure(ctx, err)
	}
	return unitState(p.unit, output)
}

// unitState returns nil if what systemctl shows of a unit is that it is active.
func unitState(unit, shown string) error {
	is := make(map[string]string)
	for line := range strings.SplitSeq(shown, "\n") {
		if key, value, ok := strings.Cut(line, "="); ok {
			is[key] = strings.TrimSpace(value)
		}
	}
	switch {
	case is["ActiveState"] == "active", is["ActiveState"] == "reloading", is["ActiveState"] == "refreshing":
		return nil
	case is["LoadState"] == "not-found":
		return wrongAnswer(fmt.Errorf("there is no unit %s", unit))
	case is["ActiveState"] == "":
		return &Error{NotSetUp, errors.New("systemctl does not tell the state of a unit")}
	}
	return wrongAnswer(fmt.Errorf("unit %s is %s (%s)", unit, is["ActiveState"], is["SubState"]))
}
