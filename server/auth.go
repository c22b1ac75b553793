package server

import (
	"cmp"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/musterhq/muster/auth"
	"github.com/musterhq/muster/config/vault"
)

// openAuth makes what knows who calls, where callers have to say so.
func (s *Server) openAuth() (err error) {
	if !s.cfg.Enforces() {
		return nil
	}
	keys := &authKeys{path: cmp.Or(s.cfg.AuthKeyFile, filepath.Join(s.cfg.DataDir, "auth.key"))}
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
