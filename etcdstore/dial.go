package etcdstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
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

// Dial returns a client of an external etcd, which makes and renews its
// connections by itself. Dial waits for none of them, except that with a user
// name it logs in first, for 5 s at the most. The caller closes the client.
func Dial(e Endpoints) (*clientv3.Client, error) {
	if len(e.URLs) == 0 {
		return nil, errors.New("etcd: no endpoint given")
	}
	conf, err := e.tls()
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	return clientv3.New(clientv3.Config{
		Endpoints: e.URLs, TLS: conf, Username: e.Username, Password: e.Password,
		DialTimeout: commitTimeout, DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		MaxCallSendMsgSize: 8 << 20, Logger: zap.NewNop(),
	})
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
