// Package authority issues the certificates by which processes know each other: a
// small authority whose files lie in one directory.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/musterhq/muster/internal/atomicfile"
)

// Authority signs certificates.
type Authority struct {
	File string // its own certificate
	Cert *x509.Certificate

	dir string
	key *ecdsa.PrivateKey
}

const (
	// before is how long certificates have been good when they are issued: clocks differ.
	before = 2 * time.Hour
	// caName and caKeyName are its files.
	caName, caKeyName = "ca.pem", "ca-key.pem"
	// maxFile bounds a file of it.
	maxFile = 1 << 20
	// serialBits is the length of the random number of a certificate.
	serialBits = 126
)

// Wish says what a certificate is to be.
type Wish struct {
	Name string        // of its files, and its common name
	DNS  []string      // names of a server
	IPs  []net.IP      // addresses of a server
	URI  *url.URL      // who that is; nil: nobody
	Good time.Duration // from now on
	// Client makes it good for the end alone that opens connections. Others are good
	// for both ends.
	Client bool
	// Replace replaces the files of one that was issued before.
	Replace bool
}

// New returns an authority that is good for a day and keeps its files in dir; its
// key it keeps to itself.
func New(dir string) (*Authority, error) {
	a, _, err := create(dir, "authority", 24*time.Hour)
	if err != nil {
		return nil, err
	}
	return a, a.write(caName, "CERTIFICATE", a.Cert.Raw, false)
}

// Init makes an authority of that name in dir, its key for its owner alone. One that
// is there already is an error, and left as it is.
func Init(dir, name string, good time.Duration) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, file := range []string{caName, caKeyName} {
		if _, err := os.Lstat(filepath.Join(dir, file)); !errors.Is(err, os.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("%s is there already, and is not replaced", filepath.Join(dir, file)), err)
		}
	}
	a, secret, err := create(dir, name, good)
	if err != nil {
		return nil, err
	}
	if err := a.write(caKeyName, "PRIVATE KEY", secret, false); err != nil {
		return nil, err
	}
	return a, a.write(caName, "CERTIFICATE", a.Cert.Raw, false)
}

func create(dir, name string, good time.Duration) (a *Authority, secret []byte, err error) {
	key, secret, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	a = &Authority{File: filepath.Join(dir, caName), dir: dir, key: key}
	a.Cert = &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-before), NotAfter: time.Now().Add(good),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := a.sign(a.Cert, key)
	if err != nil {
		return nil, nil, err
	}
	a.Cert, err = x509.ParseCertificate(der)
	return a, secret, err
}

// Open returns the authority that Init made in dir.
func Open(dir string) (*Authority, error) {
	a := &Authority{File: filepath.Join(dir, caName), dir: dir}
	der, err := readBlock(a.File, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	if a.Cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("%s: %w", a.File, err)
	}
	path := filepath.Join(dir, caKeyName)
	if der, err = readBlock(path, "PRIVATE KEY"); err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var is bool
	if a.key, is = key.(*ecdsa.PrivateKey); !is || !a.key.PublicKey.Equal(a.Cert.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of %s", path, a.File)
	}
	return a, nil
}

func readBlock(path, kind string) ([]byte, error) {
	text, err := atomicfile.Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	if len(text) == 0 { // as of a file that is not there
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s holds no %s", path, kind)
	}
	return block.Bytes, nil
}

// Issue writes a certificate for an IP address, good for both ends of a connection
// and for so long from now, and its key, and returns their paths.
func (a *Authority) Issue(name, ip string, good time.Duration) (certFile, keyFile string, err error) {
	return a.Grant(Wish{Name: name, IPs: []net.IP{net.ParseIP(ip)}, Good: good, Replace: true})
}

// Grant writes a certificate and its key, for its owner alone, and returns their
// paths. It does not outlive the authority.
func (a *Authority) Grant(w Wish) (certFile, keyFile string, err error) {
	key, secret, err := newKey()
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: w.Name}, DNSNames: w.DNS, IPAddresses: w.IPs,
		NotBefore: time.Now().Add(-before), NotAfter: time.Now().Add(w.Good), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if template.NotAfter.After(a.Cert.NotAfter) {
		template.NotAfter = a.Cert.NotAfter
	}
	if !w.Client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if w.URI != nil {
		template.URIs = []*url.URL{w.URI}
	}
	der, err := a.sign(template, key)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(a.dir, w.Name+".pem"), filepath.Join(a.dir, w.Name+"-key.pem")
	if !w.Replace {
		for _, path := range []string{certFile, keyFile} {
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				return "", "", errors.Join(fmt.Errorf("%s is there already, and is not replaced", path), err)
			}
		}
	}
	// The key first: what is new is found by the certificate.
	if err := a.write(w.Name+"-key.pem", "PRIVATE KEY", secret, w.Replace); err != nil {
		return "", "", err
	}
	return certFile, keyFile, a.write(w.Name+".pem", "CERTIFICATE", der, w.Replace)
}

func newKey() (key *ecdsa.PrivateKey, secret []byte, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	secret, err = x509.MarshalPKCS8PrivateKey(key)
	return key, secret, err
}

func (a *Authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey) (der []byte, err error) {
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err == nil {
		der, err = x509.CreateCertificate(rand.Reader, template, a.Cert, &key.PublicKey, a.key)
	}
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", template.Subject.CommonName, err)
	}
	return der, nil
}

// write writes a file for its owner alone. One that is there is replaced whole, or
// is an error.
func (a *Authority) write(name, kind string, der []byte, replace bool) error {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	path := filepath.Join(a.dir, name)
	if replace {
		return atomicfile.Write(path, text, atomicfile.Private)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}
