package server

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/musterhq/muster/auth"
	"github.com/musterhq/muster/config/vault"
)

func (c Config) authKeyFile() string {
	return cmp.Or(c.AuthKeyFile, filepath.Join(c.DataDir, "auth.key"))
}

// checkAuthKey returns an error if a member of several would find out that it lacks the key
// file of the others only when it has a vote, which is then missing to them.
func (c Config) checkAuthKey() error {
	cluster := c.cluster()
	if !c.Enforces() || cluster == nil || cluster.Founds() {
		return nil
	}
	path := c.authKeyFile()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("auth_key_file: %s is not there, and all members need the same one: copy it from a server that runs, "+
			"or make one for a new cluster with `muster auth key init`", path)
	}
	return nil // what else is wrong with it is said when it is read
}

// openAuth makes what knows who calls, where callers have to say so.
func (s *Server) openAuth() (err error) {
	if !s.cfg.Enforces() {
		return nil
	}
	keys := &authKeys{path: s.cfg.authKeyFile()}
	if err := keys.open(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.auth, err = auth.New(auth.Config{Store: s.store.Auth(), Vault: keys, Server: s.id, Logger: s.log,
		SecretFile: filepath.Join(s.cfg.DataDir, "admin.secret")})
	if err != nil {
		return err
	}
	s.gate.Who = s.auth
	s.oidc, err = s.cfg.OIDC.open()
	return err
}

// sayWho has a call to another server bear the token of this one, where servers have to
// say who they are.
func (s *Server) sayWho(r *http.Request) error {
	if s.auth == nil {
		return nil
	}
	token, err := s.auth.ServerToken()
	if err == nil {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return err
}

// authKeys is the key file under which signing keys are sealed. It is made when the
// first one is, and never to open one: who joins a cluster needs the file of the
// others, and a new one would hide that.
type authKeys struct {
	path string

	mu    sync.Mutex
	vault *vault.Vault // nil until the file is there; guarded by mu
}

// open reads the file, unless that was done. fs.ErrNotExist when there is none.
func (k *authKeys) open() (err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.vault == nil {
		if k.vault, err = vault.OpenFile(k.path); err != nil {
			k.vault = nil
			return &os.PathError{Op: "auth_key_file", Path: k.path, Err: err}
		}
	}
	return nil
}

// Seal implements auth.Vault.
func (k *authKeys) Seal(plain, additional []byte) ([]byte, error) {
	err := k.open()
	if errors.Is(err, fs.ErrNotExist) {
		if _, err = vault.Generate(k.path); err == nil || errors.Is(err, fs.ErrExist) {
			err = k.open()
		}
	}
	if err != nil {
		return nil, err
	}
	return k.vault.Seal(plain, additional)
}

// Open implements auth.Vault.
func (k *authKeys) Open(sealed, additional []byte) ([]byte, error) {
	if err := k.open(); err != nil {
		return nil, err
	}
	return k.vault.Open(sealed, additional)
}
