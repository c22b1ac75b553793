package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/miekg/dns"
)

// Exchange asks one question and returns the reply.
type Exchange func(ctx context.Context, m *dns.Msg) (*dns.Msg, error)

// Transport is a way to ask a server.
type Transport struct {
	Name string
	Ask  Exchange
	// Stream is whether replies may be longer than a datagram.
	Stream bool
}

const patience = 5 * time.Second

// UDP asks the server at address with one datagram.
func UDP(address string) Transport { return plain("udp", address, nil, false) }

// TCP asks over one connection to a question.
func TCP(address string) Transport { return plain("tcp", address, nil, true) }

// DoT is DNS over TLS (RFC 7858), with a server that trusted has signed.
func DoT(address string, trusted *x509.Certificate) Transport {
	return plain("tcp-tls", address, trusting(trusted), true)
}

func plain(network, address string, conf *tls.Config, stream bool) Transport {
	return Transport{Name: network, Stream: stream, Ask: func(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
		c := &dns.Client{Net: network, Timeout: patience, TLSConfig: conf, UDPSize: 4096}
		reply, _, err := c.ExchangeContext(ctx, m, address)
		return reply, err
	}}
}

// DoH is DNS over HTTPS (RFC 8484) by that method, GET or POST.
func DoH(method, address string, trusted *x509.Certificate) Transport {
	c := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: trusting(trusted), ForceAttemptHTTP2: true}}
	return Transport{Name: "https " + method, Stream: true, Ask: func(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
		wire, err := m.Pack()
		if err != nil {
			return nil, err
		}
		return overHTTP(ctx, c, method, "https://"+address+"/dns-query", wire)
	}}
}

const mediaType = "application/dns-message"

func overHTTP(ctx context.Context, c *http.Client, method, url string, wire []byte) (*dns.Msg, error) {
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
	reply := new(dns.Msg)
	return reply, reply.Unpack(answer)
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
