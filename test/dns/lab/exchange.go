package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
)

// Transport is a way to ask a server.
type Transport struct {
	Name string
	// Stream is whether replies may be longer than a datagram.
	Stream bool
	// Signs is whether replies to signed messages are signed.
	Signs bool

	exchange func(ctx context.Context, wire []byte) ([]byte, error)
}

const patience = 20 * time.Second

// Ask sends one message and returns the reply.
func (t Transport) Ask(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
	wire, err := m.Pack()
	if err != nil {
		return nil, err
	}
	reply, _, err := t.send(ctx, wire)
	return reply, err
}

func (t Transport) send(ctx context.Context, wire []byte) (reply *dns.Msg, answer []byte, err error) {
	if answer, err = t.exchange(ctx, wire); err != nil {
		return nil, nil, err
	}
	reply = new(dns.Msg)
	return reply, answer, reply.Unpack(answer)
}

// AskSigned sends m with a transaction signature (RFC 8945), and checks that of the
// reply where there must be one.
func (t Transport) AskSigned(ctx context.Context, m *dns.Msg, key, secret string) (*dns.Msg, error) {
	m = m.Copy()
	m.SetTsig(key, dns.HmacSHA256, 300, time.Now().Unix())
	wire, mac, err := dns.TsigGenerate(m, secret, "", false)
	if err != nil {
		return nil, err
	}
	reply, answer, err := t.send(ctx, wire)
	if err != nil || !t.Signs {
		return reply, err
	}
	switch signature := reply.IsTsig(); {
	case signature == nil:
		return reply, errors.New("the reply to a signed message is not signed")
	case signature.Error == dns.RcodeBadKey || signature.Error == dns.RcodeBadSig: // nobody could check it
		return reply, nil
	}
	return reply, dns.TsigVerify(answer, secret, mac, false)
}

// UDP asks the server at address with one datagram.
func UDP(address string) Transport { return plain("udp", address, nil, false) }

// TCP asks over one connection to a question.
func TCP(address string) Transport { return plain("tcp", address, nil, true) }

// DoT is DNS over TLS (RFC 7858), with a server that trusted has signed.
func DoT(address string, trusted *x509.Certificate) Transport {
	return plain("tcp-tls", address, trusting(trusted), true)
}

func plain(network, address string, conf *tls.Config, stream bool) Transport {
	c := &dns.Client{Net: network, Timeout: patience, TLSConfig: conf, UDPSize: 4096}
	return Transport{Name: network, Stream: stream, Signs: true, exchange: func(ctx context.Context, wire []byte) ([]byte, error) {
		conn, err := c.DialContext(ctx, address)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return nil, err
		}
		if _, err := conn.Write(wire); err != nil {
			return nil, err
		}
		return conn.ReadMsgHeader(nil)
	}}
}

// DoH is DNS over HTTPS (RFC 8484) by that method, GET or POST.
func DoH(method, address string, trusted *x509.Certificate) Transport {
	c := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: trusting(trusted), ForceAttemptHTTP2: true}}
	return Transport{Name: "https " + method, Stream: true, exchange: func(ctx context.Context, wire []byte) ([]byte, error) {
		return overHTTP(ctx, c, method, "https://"+address+"/dns-query", wire)
	}}
}

const mediaType = "application/dns-message"

func overHTTP(ctx context.Context, c *http.Client, method, url string, wire []byte) ([]byte, error) {
	body := io.Reader(http.NoBody)
	if method == http.MethodPost {
		body = bytes.NewReader(wire)
	} else {
		url += "?dns=" + base64.RawURLEncoding.EncodeToString(wire)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", mediaType)
	req.Header.Set("Content-Type", mediaType)
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || kind != mediaType {
		return nil, fmt.Errorf("%s %s: %s, %s: %s", method, url, resp.Status, kind, answer)
	}
	return answer, nil
}

// DoQ is DNS over QUIC (RFC 9250), over one connection to a question.
func DoQ(address string, trusted *x509.Certificate) Transport {
	conf := trusting(trusted)
	conf.NextProtos = []string{"doq"}
	return Transport{Name: "quic", Stream: true, exchange: func(ctx context.Context, wire []byte) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		conn, err := quic.DialAddr(ctx, address, conf, nil)
		if err != nil {
			return nil, err
		}
		defer func() { _ = conn.CloseWithError(0, "") }()
		stream, err := conn.OpenStreamSync(ctx)
		if err != nil {
			return nil, err
		}
		if err := stream.SetDeadline(time.Now().Add(patience)); err != nil {
			return nil, err
		}
		return overStream(stream, wire)
	}}
}

// overStream is all that a stream of QUIC is for. The number of a message is 0 there,
// and the end of the stream tells the server that no more will come (4.2).
func overStream(stream *quic.Stream, wire []byte) ([]byte, error) {
	framed := append([]byte{byte(len(wire) >> 8), byte(len(wire)), 0, 0}, wire[2:]...)
	if _, err := stream.Write(framed); err != nil {
		return nil, err
	}
	if err := stream.Close(); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(stream)
	switch {
	case err != nil:
		return nil, err
	case len(answer) < 4 || len(answer) != 2+int(answer[0])<<8+int(answer[1]):
		return nil, fmt.Errorf("%d octets came that are not one message behind its length", len(answer))
	case answer[2] != 0 || answer[3] != 0:
		return nil, fmt.Errorf("the number of the reply is %x, want 0", answer[2:4])
	}
	return append(wire[:2:2], answer[4:]...), nil
}

func trusting(authority *x509.Certificate) *tls.Config {
	if authority == nil {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// Question returns a question that tells of our EDNS size.
func Question(name string, kind uint16) *dns.Msg {
	return new(dns.Msg).SetQuestion(name, kind).SetEdns0(1232, false)
}
