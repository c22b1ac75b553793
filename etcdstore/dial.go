package etcdstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Endpoints says where an external etcd is and how to be let in.
type Endpoints struct {
	URLs     []string // at least one
	CertFile string   // client certificate; with KeyFile or not at all
	KeyFile  string
	CAFile   string // empty: the system's authorities
	Username string // empty: no password authentication
	Password string
}

// noToken stands for the token of a client that has not logged in yet. A client
// that is given one does not log in when it is made, and fails if it cannot; it
// does at the first call that etcd refuses for the token.
const noToken = "none"

// Dial returns a client of an external etcd, which makes and renews its
// connections, and logs in, by itself. Dial waits for nothing. The caller closes
// the client.
func Dial(e Endpoints) (*clientv3.Client, error) {
	if len(e.URLs) == 0 {
		return nil, errors.New("etcd: no endpoint given")
	}
	conf, err := e.tls()
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	cfg := clientv3.Config{
		Endpoints: e.URLs, TLS: conf,
		DialTimeout: commitTimeout, DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		MaxCallSendMsgSize: 8 << 20, Logger: zap.NewNop(),
	}
	if e.Username != "" {
		cfg.Token = noToken
	}
	client, err := clientv3.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	client.Token, client.Username, client.Password = "", e.Username, e.Password
	return client, nil
}

// refusalWithin is how long an endpoint has to say that it does not accept this
// client's certificate, which it does after the handshake.
const refusalWithin = 300 * time.Millisecond

// Refusal returns why no endpoint lets this client in by TLS, nil when one does or
// it has another reason. The client itself only says that there is no connection.
func (e Endpoints) Refusal(ctx context.Context) error {
	conf, err := e.tls()
	if err != nil {
		return err
	}
	var why error
	for _, text := range e.URLs {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" {
			return nil
		}
		if why = refusal(ctx, conf, u.Host); why == nil {
			return nil
		}
	}
	return why
}

// refusal returns why one endpoint does not let this client in.
func refusal(ctx context.Context, conf *tls.Config, host string) error {
	conn, err := (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", host)
	if err == nil {
		_ = conn.SetReadDeadline(time.Now().Add(refusalWithin)) // only fails on a closed one
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "tls: ") { // it has no type that says so
		return nil
	}
	return fmt.Errorf("certificate: %w", err)
}

// tls returns nil when neither certificate nor authority is named: then the
// scheme of each URL decides.
func (e Endpoints) tls() (*tls.Config, error) {
	if e.CertFile == "" && e.KeyFile == "" && e.CAFile == "" {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.CAFile != "" {
		pem, err := os.ReadFile(e.CAFile)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", e.CAFile)
		}
	}
	if e.CertFile != "" || e.KeyFile != "" {
		cert, err := tls.LoadX509KeyPair(e.CertFile, e.KeyFile)
		if err != nil {
			return nil, err
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return conf, nil
}
