package server_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/musterhq/muster/auth"
	"github.com/musterhq/muster/server"
)

// secretsOf returns what only one installation knows, by what it is: all of its files but
// those of etcd, and what etcd holds of users and keys.
func secretsOf(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	s, _, _ := guarded(t, dir)
	all := map[string]string{}
	snap := server.Authority(s).Snapshot()
	for k := range snap.Keys() {
		all["id of the signing key"], all["signing key"] = k.ID, string(k.Sealed)
	}
	admin := snap.User(auth.Admin)
	all["epoch"], all["hash of the password"] = admin.Epoch, admin.Password
	all["salt"] = strings.Split(admin.Password, "$")[4]
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == "etcd" {
				return fs.SkipDir
			}
			return err
		}
		content, err := os.ReadFile(path)
		if name := strings.TrimPrefix(path, dir); err == nil && len(content) > 0 && name != "/config-track.db" { // empty, and of no secrets
			all[name] = string(content)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestInstallationsShareNothing(t *testing.T) {
	one, two := secretsOf(t), secretsOf(t)
	for _, name := range []string{"signing key", "hash of the password", "salt", "epoch", "/admin.secret", "/auth.key"} {
		if one[name] == "" {
			t.Errorf("there is no %s", name)
		}
	}
	for name, value := range one {
		if two[name] == value {
			t.Errorf("two installations have the same %s", name)
		}
	}
	// Nor does any file but that of the password hold it.
	for name, value := range one {
		if name != "/admin.secret" && strings.Contains(value, strings.TrimSpace(one["/admin.secret"])) {
			t.Errorf("%s holds the password", name)
		}
	}
}

// TestEmptySecretsAreRefused starts servers with files of secrets that hold none.
func TestEmptySecretsAreRefused(t *testing.T) {
	empty, blank := filepath.Join(t.TempDir(), "empty"), filepath.Join(t.TempDir(), "blank")
	for path, content := range map[string]string{empty: "", blank: " \n\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	issuer := server.OIDC{Issuer: "https://id.example.org", ClientID: "muster", Roles: map[string][]string{"ops": {"admin"}}}
	for name, c := range map[string]struct {
		change func(c *server.Config, path string)
		says   string
	}{
		"auth_key_file":   {func(c *server.Config, path string) { c.AuthKeyFile = path }, "auth_key_file"},
		"config_key_file": {func(c *server.Config, path string) { c.ConfigKeyFile = path }, "config_key_file"},
		"client_secret_file": {func(c *server.Config, path string) {
			c.OIDC = issuer
			c.OIDC.ClientSecretFile = path
		}, "client_secret_file"},
		"ca_file of oidc": {func(c *server.Config, path string) {
			c.OIDC = issuer
			c.OIDC.CAFile = path
		}, "ca_file"},
		"tls": {func(c *server.Config, path string) { c.TLS = server.TLS{CertFile: path, KeyFile: path} }, "empty"},
	} {
		for _, path := range []string{empty, blank} {
			cfg := server.Config{HTTP: "127.0.0.1:0", GRPC: "127.0.0.1:0", DNS: "127.0.0.1:0", Auth: "on", Throwaway: true, DataDir: t.TempDir()}
			c.change(&cfg, path)
			s, err := server.Open(t.Context(), cfg)
			if err == nil {
				_ = s.Close()
				t.Errorf("a server starts with an empty %s", name)
				continue
			}
			if !strings.Contains(err.Error(), c.says) && !strings.Contains(err.Error(), path) {
				t.Errorf("with an empty %s: %v, want an error that names it", name, err)
			}
		}
	}
	// A user without a password is none, whoever asks.
	s, _, _ := guarded(t, t.TempDir())
	for _, body := range []map[string]string{{"user": "admin", "password": ""}, {"user": "", "password": ""}, {"user": "nacos", "password": "nacos"}, {"user": "admin", "password": "admin"}} {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if status, _, answer := callAs(t, "", "POST", base(s)+"/v1/auth/login", aJSON, string(text)); status != 401 {
			t.Errorf("login as %v = %d %s, want 401", body, status, answer)
		}
	}
}

func TestWrongURLsAreNotRepeated(t *testing.T) {
	for text, cfg := range map[string]server.Config{
		"http://root:secret@127.0.0.1:1/%zz":  {Etcd: server.Etcd{URLs: []string{"http://root:secret@127.0.0.1:1/%zz"}}},
		"http://root:secret@[::1":             {Etcd: server.Etcd{URLs: []string{"http://root:secret@[::1"}}},
		"https://root:secret@id.example.org/": {OIDC: server.OIDC{Issuer: "https://root:secret@id.example.org/", ClientID: "muster"}},
	} {
		_, err := cfg.WithDefaults()
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "***@") {
			t.Errorf("WithDefaults with %s = %v, want that it is no URL, without the password", text, err)
		}
	}
}

// The status is for whoever has logged in, an agent too, and says where etcd is.
func TestStatusShowsNoPassword(t *testing.T) {
	s, err := server.Open(t.Context(), server.Config{HTTP: "127.0.0.1:0", GRPC: server.GRPCOff, DNS: "127.0.0.1:0", DataDir: t.TempDir(),
		Etcd: server.Etcd{URLs: []string{"http://root:secret@127.0.0.1:1", "http://127.0.0.1:2"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if got, want := s.Status().Etcd, "http://***@127.0.0.1:1,http://127.0.0.1:2"; got != want {
		t.Errorf("Status().Etcd = %q, want %q", got, want)
	}
}
