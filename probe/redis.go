package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// redis passes when a PING is answered, after AUTH if there is a password.
type redis struct {
	guard    *Guard
	address  string
	secure   *secure
	user     string
	password Secret
}

func newRedis(c Check, g *Guard) (Prober, error) {
	host, err := splitAddress(c.Redis)
	if err != nil {
		return nil, err
	}
	if c.User != "" && c.Password == "" {
		return nil, errors.New("a user without a password")
	}
	p := &redis{guard: g, address: c.Redis, user: c.User, password: c.Password}
	p.secure, err = c.secure(c.TLS, host)
	return p, err
}

func (p *redis) Probe(ctx context.Context) error {
	c, err := dialTLS(ctx, p.guard, p.address, p.secure)
	if err != nil {
		return failure(ctx, err)
	}
	defer c.Close()
	err = p.ask(c)
	if e, ok := errors.AsType[replyError](err); ok && e.aboutPassword() {
		err = &Error{WrongPassword, err}
	}
	return failure(ctx, err)
}

func (p *redis) ask(c net.Conn) error {
	r := bufio.NewReaderSize(c, maxReply)
	if p.password != "" {
		auth := []string{"AUTH", string(p.password)}
		if p.user != "" {
			auth = []string{"AUTH", p.user, string(p.password)}
		}
		if err := p.exchange(c, r, "OK", auth...); err != nil {
			return err
		}
	}
	return p.exchange(c, r, "PONG", "PING")
}

// exchange sends one command, which want must be the reply to.
func (p *redis) exchange(c net.Conn, r *bufio.Reader, want string, args ...string) error {
	if _, err := c.Write([]byte(array(args...))); err != nil {
		return err
	}
	kind, text, err := readReply(r)
	if err != nil {
		return err
	}
	text = p.hide(text)
	switch {
	case kind == '-':
		return replyError(text)
	case kind != '+' || text != want:
		return fmt.Errorf("%q to %s", string(kind)+text, args[0])
	}
	return nil
}

// hide cuts off text where the password begins, which some servers repeat:
// one that does not know AUTH, or one that sends back what it gets. They may
// repeat it in part.
func (p *redis) hide(text string) string {
	if p.password == "" {
		return text
	}
	if i := strings.Index(text, string(p.password[:min(len(p.password), 8)])); i >= 0 {
		return text[:i] + p.password.String()
	}
	return text
}
