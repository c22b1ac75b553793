package server

import (
	"errors"
	"fmt"
	"strings"
)

// dnsFace is one address at which DNS is answered, in the clear or over TLS.
type dnsFace struct {
	setting string
	scheme  string // of CoreDNS, empty in the clear
	address string
}

// encryptedDNS returns where DNS is answered over TLS, HTTPS and QUIC.
func (c Config) encryptedDNS() []dnsFace {
	var all []dnsFace
	for _, d := range []dnsFace{{"dns_tls", "tls://", c.DNSTLS}, {"dns_https", "https://", c.DNSHTTPS}, {"dns_quic", "quic://", c.DNSQUIC}} {
		if d.address != "" {
			all = append(all, d)
		}
	}
	return all
}

func (c Config) checkEncryptedDNS() error {
	all := c.encryptedDNS()
	if len(all) == 0 {
		return nil
	}
	for _, d := range all {
		if _, err := checkListen(d.setting, d.address); err != nil {
			return err
		}
	}
	switch {
	case c.Corefile != "":
		return fmt.Errorf("%s: the Corefile says itself where DNS is answered", all[0].setting)
	case !c.TLS.given():
		return fmt.Errorf("%s: needs a certificate, tls.cert_file", all[0].setting)
	case strings.ContainsAny(c.TLS.CertFile+c.TLS.KeyFile, "\"\\\n{}"):
		return errors.New("tls: the paths of certificate and key cannot stand in a Corefile")
	}
	return nil
}
