package audit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/musterhq/muster/internal/masked"
)

// Syslog returns a sink that leads to a syslog, in messages of RFC 5424 whose text is
// the line of the record. The address is unix:///PATH of a datagram socket, or
// udp://HOST:PORT or tcp://HOST:PORT; over TCP messages tell their length (RFC 6587).
// The error says what is wrong with the address. It opens no connection.
func Syslog(address string) (*Sink, error) {
	u, err := url.Parse(address)
	if err != nil || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("%q is not the address of a syslog", masked.URL(address))
	}
	s := &syslog{network: u.Scheme, address: u.Host}
	switch {
	case u.Scheme == "unix" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
		s.network, s.address = "unixgram", u.Path
	case (u.Scheme == "udp" || u.Scheme == "tcp") && u.Path == "" && u.Port() != "" && u.Hostname() != "":
	default:
		return nil, fmt.Errorf("%q is none of unix:///PATH, udp://HOST:PORT and tcp://HOST:PORT", address)
	}
	host, err := os.Hostname()
	s.header = fmt.Sprintf(" %s muster %d audit - ", hostField(host, err), os.Getpid())
	return newSink("syslog", s), nil
}

// hostField returns the name of this host as a message may hold it, - when it is not
// known.
func hostField(name string, err error) string {
	name = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, name)
	if err != nil || name == "" {
		return "-"
	}
	return name[:min(len(name), 255)]
}

// syslog sends to a syslog.
type syslog struct {
	network, address string
	header           string // of every message, after its time
	conn             net.Conn
}

const (
	// facility is that of audit logs.
	facility = 13 << 3
	notice   = 5
	info     = 6
	// timeForm is RFC 3339 as RFC 5424 has it.
	timeForm = "2006-01-02T15:04:05.000000Z07:00"
)

// message returns the message of a record.
func (s *syslog) message(e entry) []byte {
	severity := info
	if e.result != Done {
		severity = notice
	}
	b := fmt.Appendf(nil, "<%d>1 %s%s", facility|severity, e.at.UTC().Format(timeForm), s.header)
	return append(b, e.line...)
}

func (s *syslog) send(ctx context.Context, batch []entry) error {
	if s.conn != nil && s.gone() {
		s.close()
	}
	if s.conn == nil {
		conn, err := new(net.Dialer).DialContext(ctx, s.network, s.address)
		if err != nil {
			return err
		}
		s.conn = conn
	}
	if until, ok := ctx.Deadline(); ok {
		_ = s.conn.SetWriteDeadline(until) // every socket of the system knows deadlines
	}
	for _, e := range batch {
		m := s.message(e)
		if s.network == "tcp" {
			m = append(strconv.AppendInt(nil, int64(len(m)), 10), append([]byte{' '}, m...)...)
		}
		if _, err := s.conn.Write(m); err != nil {
			s.close()
			return err
		}
	}
	return nil
}

// gone reports whether the other end has closed the connection: TCP takes what is
// written then, and it is lost.
func (s *syslog) gone() bool {
	if s.network != "tcp" {
		return false
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(time.Millisecond)) // as above
	_, err := s.conn.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

func (s *syslog) close() {
	if s.conn != nil {
		_ = s.conn.Close() // what was not taken is sent again
		s.conn = nil
	}
}
