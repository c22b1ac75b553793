package server

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/musterhq/muster/config/vault"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/internal/certs"
)

// CheckFiles returns the first error of the files that settings name, as [Open] would meet
// it. It opens no connection and writes nothing. The files of Cluster are WithDefaults', and
// that of Labels is waited for.
func (c Config) CheckFiles() error {
	c, err := c.WithDefaults()
	if err != nil {
		return err
	}
	for _, f := range []certs.Files{c.TLS.forPeers(), c.TLS.listener().Files()} {
		if _, err := certs.Open(f, nil); err != nil {
			return fmt.Errorf("tls: %w", err)
		}
	}
	if c.ConfigKeyFile != "" {
		if _, err := vault.OpenFile(c.ConfigKeyFile); err != nil {
			return fmt.Errorf("config_key_file: %w", err)
		}
	}
	if c.AuthKeyFile != "" { // the first start makes one that is missing
		if _, err := vault.OpenFile(c.AuthKeyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("auth_key_file: %w", err)
		}
	}
	if _, err := c.OIDC.open(); err != nil {
		return err
	}
	if len(c.Etcd.URLs) > 0 {
		client, err := etcdstore.Dial(c.Etcd.endpoints())
		if err != nil {
			return err
		}
		if err := client.Close(); err != nil {
			return fmt.Errorf("etcd: %w", err)
		}
	}
	text, err := c.CorefileText()
	if err != nil {
		return err
	}
	return CheckCorefile(text, c.Corefile)
}
