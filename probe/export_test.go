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
