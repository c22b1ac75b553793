package probe

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	sql "github.com/go-sql-driver/mysql"
)

// DefaultCommand is what a MySQL server is asked where the Check names no
// command.
const DefaultCommand = "select 1"

const (
	maxCommand = 1 << 10
	maxRows    = 16 // that are read of an answer
)

// wrongLogin are the errors of a MySQL server that refuses a user: access
// denied with or without a password.
var wrongLogin = map[uint16]bool{1045: true, 1698: true}

// Errors about packets, of which errPanicked is for those that the driver did
// panic on.
var (
	errBroken   = errors.New("not what a MySQL server says")
	errPanicked = fmt.Errorf("%w, ever", errBroken)
)

// mysql passes when a command is taken. It has no sql.DB, which would keep
// connections and goroutines.
type mysql struct {
	guard                   *Guard
	address, user, password string
	command                 string
}

func newMySQL(c Check, g *Guard) (Prober, error) {
	if _, err := splitAddress(c.MySQL); err != nil {
		return nil, err
	}
	if len(c.Command) > maxCommand {
		return nil, fmt.Errorf("command is longer than %d bytes", maxCommand)
	}
	p := &mysql{guard: g, address: c.MySQL, user: c.User, password: string(c.Password), command: c.Command}
	if p.command == "" {
		p.command = DefaultCommand
	}
	return p, nil
}

func (p *mysql) Probe(ctx context.Context) error {
	c, err := dial(ctx, p.guard, p.address)
	if err != nil {
		return failure(ctx, err)
	}
	defer c.Close()
	return failure(ctx, p.ask(ctx, &packets{Conn: c}))
}

func (p *mysql) ask(ctx context.Context, c *packets) (err error) {
	defer func() {
		switch e, ok := errors.AsType[*sql.MySQLError](err); {
		case ok && wrongLogin[e.Number]:
			err = &Error{WrongPassword, e}
		case err != nil && !ok && c.err != nil:
			err = c.err // which the driver hides
		}
	}()
	db, err := p.login(ctx, c)
	if err != nil {
		return err
	}
	defer db.Close()
	c.expectAnswer()
	return p.query(ctx, db)
}

// login opens a session over c. Nothing that the driver would trip over comes
// through to it, for a driver that panics here leaves a goroutine behind.
func (p *mysql) login(ctx context.Context, c *packets) (db driver.Conn, err error) {
	defer recoverTo(&err)
	cfg := sql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Addr, cfg.Logger = p.user, p.password, p.address, new(sql.NopLogger)
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) { return c, nil }
	connector, err := sql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return connector.Connect(ctx)
}

// query sends the command and reads the answer. What it leaves unread ends with
// the connection: closing the rows would read all of them.
func (p *mysql) query(ctx context.Context, db driver.Conn) (err error) {
	defer recoverTo(&err)
	rows, err := db.(driver.QueryerContext).QueryContext(ctx, p.command, nil)
	if err != nil {
		return err
	}
	row := make([]driver.Value, len(rows.Columns()))
	for range maxRows {
		if err := rows.Next(row); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if p.isReadOnly(row) {
			return errors.New("read_only is on")
		}
	}
	return nil
}

// isReadOnly reports whether row is the answer to a command that asks for the
// variable read_only, and says that it is on: a replica, which must not get
// what is for the primary.
func (p *mysql) isReadOnly(row []driver.Value) bool {
	if len(row) == 0 || !strings.Contains(strings.ToLower(p.command), "read_only") {
		return false
	}
	if len(row) > 1 && !strings.EqualFold(text(row[0]), "read_only") {
		return false // another variable
	}
	value := text(row[len(row)-1])
	return strings.EqualFold(value, "on") || value == "1"
}

func text(v driver.Value) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(v)
}

func recoverTo(err *error) {
	if recover() != nil {
		*err = errPanicked
	}
}
