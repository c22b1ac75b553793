package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/etcdstore/embedded"
	"github.com/musterhq/muster/server"
)

func TestSettingsOfSeveralServers(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  server.Config
		says string // empty: it is good
	}{
		{"the default", server.Config{}, ""},
		{"no floor", server.Config{MinFree: "0"}, ""},
		{"a floor in bytes", server.Config{MinFree: "1048576"}, ""},
		{"a floor with a space and small letters", server.Config{MinFree: "1.5 gib"}, ""},
		{"a floor in words", server.Config{MinFree: "much"}, `min_free: "much" is not a size`},
		{"a floor of an unknown unit", server.Config{MinFree: "1XiB"}, `min_free: "1XiB" is not a size`},
		{"a unit without a number", server.Config{MinFree: "MiB"}, `min_free: "MiB" is not a size`},
		{"less than nothing", server.Config{MinFree: "-1MiB"}, `min_free: "-1MiB" is not a size`},
		{"two numbers", server.Config{MinFree: "1.2.3MiB"}, `min_free: "1.2.3MiB" is not a size`},
		{"more than there can be", server.Config{MinFree: "99999999999GiB"}, `min_free: "99999999999GiB" is not a size`},
		{"no number", server.Config{MinFree: "NaN"}, `min_free: "NaN" is not a size`},
		{"an advertised URL", server.Config{AdvertiseHTTP: "https://muster.example.org:8848"}, ""},
		{"an advertised address without a scheme", server.Config{AdvertiseHTTP: "192.0.2.1:8848"}, "advertise_http: "},
		{"an advertised URL of another kind", server.Config{AdvertiseHTTP: "ftp://192.0.2.1"}, "advertise_http: "},
		{"an advertised URL without a host", server.Config{AdvertiseHTTP: "http://"}, "advertise_http: "},
		{"a broken advertised URL", server.Config{AdvertiseHTTP: "http://192.0.2.1:port"}, "advertise_http: "},
		{"pushes from an address of their own", server.Config{Push: "192.0.2.1:9848"}, ""},
		{"pushes from no address", server.Config{Push: "9848"}, `push: "9848" is not of the form`},
		{"a zone with a hyphen, an underscore and capitals", server.Config{Zones: []string{"DC-1._x.example.org."}}, ""},
		{"a reverse zone of half a network", server.Config{Zones: []string{"a.org", "0/25.2.0.192.in-addr.arpa"}}, ""},
		{"a zone with a blank", server.Config{Zones: []string{"a.org", "bad zone"}}, `zone: "bad zone" is not a domain name`},
		{"a zone with a brace", server.Config{Zones: []string{"a{b.org"}}, `zone: "a{b.org" is not a domain name`},
		{"a zone with a quote", server.Config{Zones: []string{`a"b.org`}}, `zone: "a\"b.org" is not a domain name`},
		{"a zone with an escape", server.Config{Zones: []string{`a\.b.org`}}, `zone: "a\\.b.org" is not a domain name`},
		{"any zone", server.Config{Zones: []string{"*"}}, `zone: "*" is not a domain name`},
		{"a zone in letters that DNS has not", server.Config{Zones: []string{"größe.org"}}, `zone: "größe.org" is not a domain name`},
		{"a zone without a name", server.Config{Zones: []string{""}}, `zone: "" is not a domain name`},
		{"a name server with a blank", server.Config{NameServers: []string{"a b=192.0.2.1"}}, `ns: "a b" is not a domain name`},
		{"a name server at a link", server.Config{NameServers: []string{"a.b=fe80::1%eth0"}}, `ns: "fe80::1%eth0" is not an IP address`},
		{"etcd by URL", server.Config{Etcd: server.Etcd{URLs: []string{"https://etcd.example.org:2379", "http://192.0.2.1"}}}, ""},
		{"etcd by address and port", server.Config{Etcd: server.Etcd{URLs: []string{"etcd.example.org:2379", "[2001:db8::1]:2379"}}}, ""},
		{"etcd by its socket", server.Config{Etcd: server.Etcd{URLs: []string{"unix:///run/etcd.sock"}}}, ""},
		{"etcd by a word", server.Config{Etcd: server.Etcd{URLs: []string{"nonsense"}}}, `etcd: urls: "nonsense" is neither`},
		{"etcd by a URL of another kind", server.Config{Etcd: server.Etcd{URLs: []string{"ftp://192.0.2.1:2379"}}}, `etcd: urls: "ftp://192.0.2.1:2379" is neither`},
		{"a name alone", server.Config{Cluster: embedded.Cluster{Name: "a"}}, ""},
		{"members without an address to listen at", server.Config{Cluster: embedded.Cluster{Name: "a", Initial: "a=192.0.2.1:2380"}}, "cluster: "},
		{"members beside an external etcd", server.Config{Etcd: server.Etcd{URLs: []string{"http://192.0.2.1:2379"}},
			Cluster: embedded.Cluster{Name: "a", Listen: "192.0.2.1:2380"}}, "cluster: "},
		{"labels of a file", server.Config{Labels: server.Labels{File: "labels.csv", Interval: time.Second}}, ""},
		{"labels of a URL", server.Config{Labels: server.Labels{URL: "https://cmdb.example.org/labels", Timeout: time.Second,
			Headers: map[string]string{"Authorization": "Bearer x"}}}, ""},
		{"labels of a file and a URL", server.Config{Labels: server.Labels{File: "x", URL: "http://192.0.2.1"}}, "labels: file and url are both given"},
		{"labels of no URL", server.Config{Labels: server.Labels{URL: "192.0.2.1"}}, "labels: url: "},
		{"labels all the time", server.Config{Labels: server.Labels{File: "x", Interval: time.Millisecond}}, "labels: interval: 1ms is less than 1s"},
		{"labels of nothing", server.Config{Labels: server.Labels{Interval: time.Minute}}, "labels: file or url is missing"},
		{"short logins of Nacos clients", server.Config{NacosLoginLife: 10 * time.Second}, ""},
		{"logins that nobody can renew in time", server.Config{NacosLoginLife: 9 * time.Second}, "nacos_login_life: 9s is not 10s to 5h0m0s"},
		{"logins over the life of keys", server.Config{NacosLoginLife: 6 * time.Hour}, "nacos_login_life: 6h0m0s is not 10s to 5h0m0s"},
		{"logins before now", server.Config{NacosLoginLife: -time.Hour}, "nacos_login_life: -1h0m0s is not 10s to 5h0m0s"},
		{"a broken header for labels", server.Config{Labels: server.Labels{URL: "http://192.0.2.1", Headers: map[string]string{"a b": "c"}}}, "labels: headers: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.cfg.WithDefaults()
			if (err == nil) != (c.says == "") || err != nil && !strings.HasPrefix(err.Error(), c.says) {
				t.Errorf("WithDefaults() = %v, want %q", err, c.says)
			}
		})
	}
}

// What a server would refuse at its start for its files is found without starting it.
func TestFilesOfSettings(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{"empty": "", "Corefile": "a.org:1053 {\n    muster\n}\n", "broken": "a.org:1053 {\n    mustre\n}\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	people := server.OIDC{Issuer: "https://id.example.org", ClientID: "muster", Roles: map[string][]string{"office": {"reader"}}}
	secret, authorities := people, people
	secret.ClientSecretFile, authorities.CAFile = "nofile", "nofile"
	for _, c := range []struct {
		name string
		cfg  server.Config
		says []string // none: it is good
	}{
		{"none", server.Config{}, nil},
		{"a certificate", server.Config{TLS: server.TLS{CertFile: "nofile", KeyFile: "empty"}}, []string{"tls: ", "nofile"}},
		{"its key", server.Config{TLS: server.TLS{CertFile: "empty", KeyFile: "nofile"}}, []string{"tls: ", "nofile"}},
		{"authorities", server.Config{TLS: server.TLS{CAFile: "nofile"}}, []string{"tls: ", "nofile"}},
		{"authorities in a file that holds none", server.Config{TLS: server.TLS{CAFile: "empty"}}, []string{"tls: ", "empty holds no certificate"}},
		{"keys of documents", server.Config{ConfigKeyFile: "nofile"}, []string{"config_key_file: ", "nofile"}},
		{"keys of sessions, which the first start makes", server.Config{AuthKeyFile: "nofile"}, nil},
		{"keys of sessions that are none", server.Config{AuthKeyFile: "empty"}, []string{"auth_key_file: "}},
		{"a secret of a provider", server.Config{OIDC: secret}, []string{"oidc: client_secret_file: ", "nofile"}},
		{"authorities of a provider", server.Config{OIDC: authorities}, []string{"oidc: ca_file: ", "nofile"}},
		{"authorities of etcd", server.Config{Etcd: server.Etcd{URLs: []string{"https://192.0.2.1:2379"}, CAFile: "nofile"}}, []string{"etcd: ", "nofile"}},
		{"labels, which are waited for", server.Config{Labels: server.Labels{File: "nofile"}}, nil},
		{"a Corefile", server.Config{Corefile: "Corefile"}, nil},
		{"a Corefile that is not there", server.Config{Corefile: "nofile"}, []string{"corefile: ", "nofile"}},
		{"a Corefile that is none", server.Config{Corefile: "broken"}, []string{"broken:2"}},
		{"no zone of names", server.Config{Zones: []string{"2.0.192.in-addr.arpa"}}, []string{"none is for services"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.cfg.CheckFiles()
			if (err == nil) != (c.says == nil) {
				t.Fatalf("CheckFiles() = %v, want %q", err, c.says)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("CheckFiles() = %v, want %q in it", err, part)
				}
			}
		})
	}
}

func TestDamagedDataDirectory(t *testing.T) {
	for name, content := range map[string]string{"no number": "x", "nothing": "", "a number that is too large": "4294967296\n", "one below zero": "-1"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "serial")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := server.Open(t.Context(), server.Config{HTTP: "127.0.0.1:0", DNS: "127.0.0.1:0", DataDir: dir, Throwaway: true})
			if err == nil {
				t.Fatal("the server opens with a damaged serial", s.Close())
			}
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "is no SOA serial") {
				t.Errorf("Open() = %v, want an error that names %s", err, path)
			}
		})
	}
}

// Below its floor of free space a server takes deletes and beats alone, and says
// why.
func TestNoRoomOnTheDisk(t *testing.T) {
	dir := t.TempDir()
	s, stop := start(t, server.Config{DataDir: dir})
	c := dial(t, s)
	kept, gone := client.Name{Name: "kept"}, client.Name{Name: "gone"}
	for _, n := range []client.Name{kept, gone} {
		if _, err := c.Register(t.Context(), n, api.Instance{Address: "192.0.2.1", Port: 80}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.PutConfig(t.Context(), n, []byte("version: 1"), client.ConfigWrite{}); err != nil {
			t.Fatal(err)
		}
	}
	serial := s.Status().Serial
	stop()

	s, _ = start(t, server.Config{DataDir: dir, MinFree: "4000000GiB"})
	c = dial(t, s)
	instance := base(s) + "/v1/services/public/DEFAULT_GROUP/kept/instances/192.0.2.2:80"
	for _, w := range []struct {
		name, method, url, body, kind string
		status                        int
	}{
		{"a registration", http.MethodPut, instance, `{"address":"192.0.2.2","port":80}`, "application/json", http.StatusInsufficientStorage},
		{"a registration over Nacos", http.MethodPost, base(s) + "/nacos/v1/ns/instance?serviceName=kept&ip=192.0.2.2&port=80&ephemeral=false", "", "text/plain", http.StatusServiceUnavailable},
		{"a document", http.MethodPut, base(s) + "/v1/configs/public/DEFAULT_GROUP/kept", "version: 2", "text/plain", http.StatusInsufficientStorage},
		{"a document over Nacos", http.MethodPost, base(s) + "/nacos/v1/cs/configs?dataId=kept&group=DEFAULT_GROUP&content=x", "", "text/plain", http.StatusServiceUnavailable},
	} {
		status, _, body := call(t, w.method, w.url, w.kind, strings.NewReader(w.body))
		if status != w.status || !strings.Contains(body, "min_free") {
			t.Errorf("%s = %d %q, want %d and a text that names min_free", w.name, status, body, w.status)
		}
	}
	if full := s.Status().Storage.Full; !strings.Contains(full, "min_free") {
		t.Errorf("storage = %q, want that min_free is named", full)
	}
	if status, _, body := call(t, http.MethodPut, base(s)+"/nacos/v1/ns/instance/beat?serviceName=kept&ip=192.0.2.1&port=80", "", http.NoBody); status != http.StatusOK || !strings.Contains(body, "10200") {
		t.Errorf("beat = %d %q, want 200 with code 10200", status, body)
	}
	if err := c.Deregister(t.Context(), gone, "192.0.2.1:80"); err != nil {
		t.Errorf("Deregister() = %v, want deletes to go on", err)
	}
	if err := c.DeleteConfig(t.Context(), gone); err != nil {
		t.Errorf("DeleteConfig() = %v, want deletes to go on", err)
	}
	if list, err := c.Instances(t.Context(), kept, client.InstanceQuery{}); err != nil || len(list.Instances) != 1 {
		t.Errorf("Instances() = %+v, %v, want the one from before", list.Instances, err)
	}
	if d, err := c.Config(t.Context(), kept); err != nil || string(d.Content) != "version: 1" {
		t.Errorf("Config() = %q, %v, want the one from before", d.Content, err)
	}
	if now := s.Status().Serial; int32(now-serial) <= 0 {
		t.Errorf("serial %d after a delete, want one later than %d", now, serial)
	}
}
