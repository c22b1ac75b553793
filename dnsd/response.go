package dnsd

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// client is who asked, and the way back.
type client interface {
	// send sends one message, which follows two octets that are room for its
	// length. It may be called several times, for a zone transfer.
	send(framed []byte) error
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
	Close() error
}

// response is what handlers see as the [dns.ResponseWriter] of one query. Like
// that of miekg/dns it is for one goroutine at a time. It may be kept longer than
// the query is under way, so it is never used again.
type response struct {
	client
	tsig      tsig
	keepalive time.Duration // to tell in the reply's OPT; 0 for nothing
	answered  atomic.Bool   // something was sent
}

var _ dns.ResponseWriter = (*response)(nil)

// lengthSize is the prefix of a message over TCP (RFC 1035 4.2.2).
const lengthSize = 2

// frames hold messages while they are packed and sent. Nearly all fit in.
var frames = sync.Pool{New: func() any { return &[lengthSize + 4096]byte{} }}

var errTooLarge = errors.New("message of more than 65535 octets")

// WriteMsg implements [dns.ResponseWriter].
func (w *response) WriteMsg(m *dns.Msg) error {
	m = withKeepalive(m, w.keepalive)
	buf := frames.Get().(*[lengthSize + 4096]byte)
	defer frames.Put(buf)
	wire, err := w.pack(m, buf[lengthSize:])
	if err != nil {
		return err
	}
	return w.sendFramed(buf[:lengthSize], wire)
}

func (w *response) pack(m *dns.Msg, buf []byte) ([]byte, error) {
	if t := m.IsTsig(); t != nil {
		return w.tsig.sign(m, t)
	}
	return m.PackBuffer(buf)
}

// Write implements [dns.ResponseWriter] for a message that is packed already.
func (w *response) Write(wire []byte) (int, error) {
	if err := w.sendFramed(make([]byte, lengthSize, lengthSize+len(wire)), wire); err != nil {
		return 0, err
	}
	return len(wire), nil
}

// sendFramed puts the message behind its prefix; a message that was packed into
// the buffer of the prefix stands there already.
func (w *response) sendFramed(prefix, wire []byte) error {
	if len(wire) > maxMessage {
		return errTooLarge
	}
	if err := w.send(append(prefix, wire...)); err != nil {
		return err
	}
	w.answered.Store(true)
	return nil
}

// TsigStatus implements [dns.ResponseWriter].
func (w *response) TsigStatus() error { return w.tsig.status }

// TsigTimersOnly implements [dns.ResponseWriter].
func (w *response) TsigTimersOnly(on bool) { w.tsig.timersOnly = on }

// Hijack implements [dns.ResponseWriter]. It does nothing: a connection is the
// endpoint's, whatever a handler does with its own query.
func (*response) Hijack() {}
