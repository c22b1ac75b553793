package embedded

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver"
)

// Cluster is what a server needs to be a member of a cluster of etcds. Members
// talk to each other over mutual TLS alone.
type Cluster struct {
	// Name is that of this member; no two have the same.
	Name string `json:"name" yaml:"name"`
	// Listen is the HOST:PORT for the other members: an address of this machine,
	// or no host for all of them.
	Listen string `json:"listen" yaml:"listen"`
	// Advertise is the HOST:PORT where the others reach it; empty is the one that
	// Initial has under Name.
	Advertise string `json:"advertise,omitempty" yaml:"advertise"`
	// Initial names the members at the first start: NAME=HOST:PORT, separated by
	// commas. Later starts know the members from the data.
	Initial string `json:"initial" yaml:"initial"`
	// Join is set when the first start joins a cluster that runs, to which this
	// member was added (see [Members.Add]).
	Join bool `json:"join,omitempty" yaml:"join"`
	// CertFile and KeyFile are this member's certificate, for the host it is
	// advertised under, as server and as client.
	CertFile string `json:"cert_file" yaml:"cert_file"`
	KeyFile  string `json:"key_file" yaml:"key_file"`
	// CAFile is the authority of the members' certificates. Whoever has one from
	// it may join in: it must be there for the members alone.
	CAFile string `json:"ca_file" yaml:"ca_file"`
	// CRLFile lists, in DER, certificates of it that are refused all the same when a
	// connection opens; it is read each time. Empty is none.
	CRLFile string `json:"crl_file,omitempty" yaml:"crl_file"`
}

// addresses are those of the members at the first start, by name.
type addresses map[string]string

// etcd returns them as etcd writes them.
func (a addresses) etcd() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(a)) {
		u := peerURL(a[name])
		all = append(all, name+"="+u.String())
	}
	return strings.Join(all, ",")
}

// memberName keeps out what would mean something in a list of members.
var memberName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// CheckMember returns an error for a name that no member can have, or an address at which
// others cannot reach one.
func CheckMember(name, address string) error {
	return errors.Join(checkName(name), checkAddress(address))
}

func checkName(name string) error {
	if !memberName.MatchString(name) {
		return fmt.Errorf("%q is no name: want up to 63 letters, digits, dots, dashes and underscores", name)
	}
	return nil
}

// checkAddress returns an error for what others cannot dial.
func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not HOST:PORT", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q has no port between 1 and 65535", address)
	}
	if host == "" || strings.ContainsAny(host, "/=,@?# ") {
		return fmt.Errorf("%q has no host that others could dial", address)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("%q stands for all addresses of this machine: others need one of them", address)
	}
	return nil
}

// initial returns the members at the first start.
func (c *Cluster) initial() (addresses, error) {
	all := make(addresses)
	taken := make(map[string]string)
	for entry := range strings.SplitSeq(c.Initial, ",") {
		name, address, ok := strings.Cut(strings.TrimSpace(entry), "=")
		if !ok {
			return nil, fmt.Errorf("initial: %q is not NAME=HOST:PORT", entry)
		}
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("initial: %w", err)
		}
		if err := checkAddress(address); err != nil {
			return nil, fmt.Errorf("initial: member %s: %w", name, err)
		}
		if all[name] != "" {
			return nil, fmt.Errorf("initial: member %s is there twice", name)
		}
		if other := taken[address]; other != "" {
			return nil, fmt.Errorf("initial: members %s and %s have the same address %s", other, name, address)
		}
		all[name], taken[address] = address, name
	}
	switch own := all[c.Name]; {
	case own == "":
		return nil, fmt.Errorf("initial: does not hold this member, %s", c.Name)
	case c.Advertise != "" && c.Advertise != own:
		return nil, fmt.Errorf("advertise: is %s, and initial has %s for %s", c.Advertise, own, c.Name)
	}
	return all, nil
}

// Founds reports whether this member begins a cluster by itself, with nobody else there at
// its first start.
func (c *Cluster) Founds() bool {
	all, err := c.initial()
	return err == nil && len(all) == 1 && !c.Join
}

// listenAddress returns Listen as etcd wants it.
func (c *Cluster) listenAddress() (string, error) {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", fmt.Errorf("listen: %q is not HOST:PORT", c.Listen)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("listen: %q has no port between 1 and 65535", c.Listen)
	}
	switch {
	case host == "":
		host = "0.0.0.0" // all addresses, those of IPv6 too
	case host != "localhost" && net.ParseIP(host) == nil:
		return "", fmt.Errorf("listen: %s is no address of this machine (a name is not enough)", host)
	}
	return net.JoinHostPort(host, port), nil
}

// check returns an error that names the setting that is wrong.
func (c *Cluster) check() error {
	if err := checkName(c.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if _, err := c.listenAddress(); err != nil {
		return err
	}
	initial, err := c.initial()
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(initial[c.Name])
	if err != nil {
		return err
	}
	// Most likely the name is another one's: two of one name ruin a cluster.
	if _, own, err := net.SplitHostPort(c.Listen); err == nil && own != port && c.Advertise == "" {
		return fmt.Errorf("listen: has port %s, and initial has %s for %s: is the name right? If others do reach this member "+
			"by another port, say so with advertise", own, port, c.Name)
	}
	for _, file := range []struct{ setting, path string }{{"cert_file", c.CertFile}, {"key_file", c.KeyFile}, {"ca_file", c.CAFile}} {
		if file.path == "" {
			return fmt.Errorf("%s: is missing: members talk to each other over mutual TLS alone", file.setting)
		}
	}
	if err := c.checkFiles(host); err != nil {
		return &FileError{err}
	}
	return nil
}

// FileError is about what a file holds that a setting names: the setting may be right, and
// the next start find the file as it is to be.
type FileError struct{ Err error }

func (e *FileError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong with the file.
func (e *FileError) Unwrap() error { return e.Err }

func (c *Cluster) checkFiles(host string) error {
	if c.CRLFile != "" { // one that cannot be read has every connection refused
		der, err := os.ReadFile(c.CRLFile)
		if err != nil {
			return fmt.Errorf("crl_file: %w", err)
		}
		if _, err := x509.ParseRevocationList(der); err != nil {
			return fmt.Errorf("crl_file: %s is no list of revoked certificates in DER: %w", c.CRLFile, err)
		}
	}
	return c.checkCertificate(host)
}

// checkCertificate finds out early what would look like a cluster that does not
// come about: a certificate that the other members refuse.
func (c *Cluster) checkCertificate(host string) error {
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return fmt.Errorf("ca_file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("ca_file: %s holds no certificate", c.CAFile)
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return fmt.Errorf("cert_file, key_file: %w", err)
	}
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(cert)
		}
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: between, DNSName: host, KeyUsages: []x509.ExtKeyUsage{usage},
		})
		if err != nil {
			return fmt.Errorf("cert_file: %s would be refused by the other members: %w", c.CertFile, err)
		}
	}
	return nil
}

// correctAddress makes the others find this member where it is now: one that was
// alone so far had no address, and called itself otherwise.
func (c *Cluster) correctAddress(ctx context.Context, s *etcdserver.EtcdServer, client *clientv3.Client) error {
	if c == nil {
		return nil
	}
	initial, err := c.initial()
	if err != nil {
		return err
	}
	u := peerURL(initial[c.Name])
	for _, m := range s.Cluster().Members() {
		switch {
		case m.ID != s.MemberID() && m.Name == c.Name:
			return fmt.Errorf("name: another member of the cluster is called %s", c.Name)
		case m.ID != s.MemberID() || slices.Equal(m.PeerURLs, []string{u.String()}):
			continue
		}
		if _, err := client.MemberUpdate(ctx, uint64(m.ID), []string{u.String()}); err != nil {
			return fmt.Errorf("tell the cluster that %s is at %s: %w", c.Name, u.Host, err)
		}
	}
	return nil
}

// explain says what to do about an error with which etcd refuses to start.
func (c *Cluster) explain(err error) error {
	if c == nil {
		return err
	}
	has := func(text string) bool { return strings.Contains(err.Error(), text) }
	switch {
	case has("already been bootstrapped"):
		err = fmt.Errorf("the cluster knows %s with data that is not here any more: remove that member, add it again, "+
			"and start it with join (%w)", c.Name, err)
	case has("member count is unequal"), has("no match found for existing member"):
		err = fmt.Errorf("the cluster has other members than initial says: add %s first, and take initial from there "+
			"(a server that was removed needs that too) (%w)", c.Name, err)
	case has("cannot fetch cluster info"):
		err = fmt.Errorf("no member of initial could be asked about the cluster to join (%w)", err)
	}
	return err
}
