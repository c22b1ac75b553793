package probe

import (
	"context"
	"net"
)

// ErrPanicked is the error of a try in which the MySQL driver panicked.
var ErrPanicked = errPanicked

// Failure is what a Prober makes of err.
func Failure(ctx context.Context, err error) error { return failure(ctx, err) }

// AskRedis asks over c.
func AskRedis(c net.Conn, user, password string) error {
	return (&redis{user: user, password: Secret(password)}).ask(c)
}

// LoginMySQL logs in over c and leaves.
func LoginMySQL(ctx context.Context, c net.Conn, user, password string) error {
	db, err := (&mysql{address: "192.0.2.1:3306", user: user, password: password}).login(ctx, &packets{Conn: c})
	if err == nil {
		db.Close()
	}
	return err
}

// Systemd is a Prober of a unit, where booted tells whether systemd runs.
func Systemd(unit, booted string) Prober { return &systemd{unit, booted} }

// Program is a Prober that takes the place of a program.
type Program struct{ Prober }

func (Program) runsProgram() {}

// Match looks in answer. invalid says what is wrong with the check.
func Match(contains, matches string, answer []byte) (err, invalid error) {
	m, invalid := Check{Contains: contains, Matches: matches}.match()
	if invalid != nil {
		return nil, invalid
	}
	return m.in(answer), nil
}

// ParseStat returns the state and the name of a process.
func ParseStat(b []byte) (state byte, comm string) {
	comm, _ = commOf(b)
	return stateOf(b), comm
}

// ParsePID and UnitState read a file with a process id, and what systemctl says.
var (
	ParsePID  = parsePID
	UnitState = unitState
)
