package auth

import (
	"context"
	"crypto/x509"
	"fmt"
	"iter"
	"regexp"
	"strings"
	"time"

	"github.com/musterhq/muster/access"
)

// AgentRole is the role of agents that show a certificate: there is no token that names
// others. Administrators make it.
const AgentRole = "agent"

// Revoked says that a certificate lets nobody in any more, or that none of somebody does.
type Revoked struct {
	// Which is the serial number of one in hex, or agent/ID or server/NAME, as the URI of
	// certificates has it, for all of that subject.
	Which   string    `json:"-"`
	Created time.Time `json:"created"`
}

// RecordKey implements Record.
func (r *Revoked) RecordKey() Key { return Key{KindRevoked, r.Which} }

// serialForm is a serial number as records have it: RFC 5280 bounds one to 20 bytes.
var serialForm = regexp.MustCompile(`^[1-9a-f][0-9a-f]{0,39}$`)

// CleanRevoked returns which certificates are meant as records have it. The error is
// ErrInvalid.
func CleanRevoked(which string) (string, error) {
	for _, of := range []string{"agent/", "server/"} {
		if name, ok := strings.CutPrefix(which, of); ok && name != "" && name != AnyAgent && len(which) <= 256 {
			return which, nil
		}
	}
	serial := strings.TrimLeft(strings.ToLower(strings.ReplaceAll(which, ":", "")), "0")
	if !serialForm.MatchString(serial) {
		return "", fmt.Errorf("%w: a certificate is named by its serial number in hex, or all of a subject by agent/ID or server/NAME", ErrInvalid)
	}
	return serial, nil
}

// Revoked returns that certificates were revoked, nil when they were not.
func (s *Snapshot) Revoked(which string) *Revoked { return find[*Revoked](s, Key{KindRevoked, which}) }

// AllRevoked yields which certificates were revoked, in no order.
func (s *Snapshot) AllRevoked() iter.Seq[*Revoked] { return all[*Revoked](s) }

// RevokeCertificates refuses certificates, on connections that are open too: who calls is
// asked for with each call.
func (a *Authority) RevokeCertificates(ctx context.Context, which string) error {
	which, err := CleanRevoked(which)
	if err != nil {
		return err
	}
	return a.retry(ctx, func(s *Snapshot) (Write, error) {
		r := &Revoked{Which: which, Created: a.cfg.Now().UTC()}
		if was := s.Revoked(which); was != nil {
			r.Created = was.Created
		}
		return Write{Puts: []Record{r}, Checks: []Check{s.check(r.RecordKey())}}, nil
	})
}

// RestoreCertificates takes a revocation back, as once the certificate has ended.
func (a *Authority) RestoreCertificates(ctx context.Context, which string) error {
	which, err := CleanRevoked(which)
	if err != nil {
		return err
	}
	return a.remove(ctx, Key{KindRevoked, which}, "revocation of")
}

// byCertificate returns whom a certificate is of, which was verified when its connection
// opened, and may have ended since: its one URI, muster://server/NAME or
// muster://agent/ID, says so. What else it names are hosts.
func (s *Snapshot) byCertificate(c *x509.Certificate, now time.Time) (access.Subject, error) {
	who, err := ofCertificate(c)
	if err != nil {
		return who, err
	}
	if now.After(c.NotAfter) {
		return access.Subject{}, refused(access.ReasonExpired)
	}
	if s.Revoked(string(who.Type)+"/"+who.Name) != nil || c.SerialNumber != nil && s.Revoked(c.SerialNumber.Text(16)) != nil {
		return access.Subject{}, refused(access.ReasonRevoked)
	}
	return who, nil
}

func ofCertificate(c *x509.Certificate) (access.Subject, error) {
	if len(c.URIs) != 1 || c.URIs[0].Scheme != "muster" {
		return access.Subject{}, refused(access.ReasonUnknown)
	}
	switch name := strings.TrimPrefix(c.URIs[0].Path, "/"); {
	case name == "" || name == AnyAgent:
	case c.URIs[0].Host == "server":
		return access.Subject{Type: access.Server, Name: name}, nil
	case c.URIs[0].Host == "agent":
		return agentOf(name), nil
	}
	return access.Subject{}, refused(access.ReasonUnknown)
}

// agentOf is the agent of an id that shows a certificate.
func agentOf(id string) access.Subject {
	return access.Subject{Type: access.Agent, Name: id, Roles: []string{AgentRole}}
}
