package embedded_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/etcdstore/embedded"
)

// start starts a member, which is closed with the test.
func start(t *testing.T, cfg embedded.Config) *embedded.Etcd {
	t.Helper()
	e, err := tryStart(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func tryStart(t *testing.T, cfg embedded.Config) (*embedded.Etcd, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg.NoSync, cfg.Logger = true, slog.New(slog.NewTextHandler(t.Output(), nil))
	return embedded.Start(ctx, cfg)
}

// form starts all members of a new cluster, by name.
func form(t *testing.T, a *authority, names ...string) (map[string]*embedded.Etcd, map[string]embedded.Config) {
	t.Helper()
	settings := make(map[string]embedded.Config)
	var initial []string
	for _, name := range names {
		cfg := embedded.Config{Dir: t.TempDir(), Cluster: a.member(t, name)}
		settings[name] = cfg
		initial = append(initial, name+"="+cfg.Cluster.Listen)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	all := make(map[string]*embedded.Etcd)
	for _, name := range names {
		settings[name].Cluster.Initial = strings.Join(initial, ",")
		wg.Go(func() {
			e, err := tryStart(t, settings[name])
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { e.Close() })
			mu.Lock()
			defer mu.Unlock()
			all[name] = e
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return all, settings
}

// promote lets new members vote, for as long as the test runs.
func promote(t *testing.T, m *embedded.Members) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := m.Run(ctx); err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func membersOf(t *testing.T, e *embedded.Etcd) *embedded.Members {
	t.Helper()
	m, err := e.Members()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// join adds a member to the cluster of m, starts it and returns it with its settings.
func join(t *testing.T, m *embedded.Members, a *authority, name string) (*embedded.Etcd, embedded.Config) {
	t.Helper()
	cfg := embedded.Config{Dir: t.TempDir(), Cluster: a.member(t, name)}
	initial, err := m.Add(t.Context(), name, cfg.Cluster.Listen)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Cluster.Initial, cfg.Cluster.Join = initial, true
	return start(t, cfg), cfg
}

// names returns the names of the members, with what is remarkable about each.
func names(t *testing.T, m *embedded.Members) []string {
	t.Helper()
	all, err := m.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	leaders := 0
	for _, one := range all {
		word := one.Name
		if one.Learner {
			word += " learns"
		}
		if !one.Healthy {
			word += " is silent"
		}
		if one.Leader {
			leaders++
		}
		words = append(words, word)
	}
	if leaders != 1 {
		t.Errorf("List() has %d leaders, want 1: %v", leaders, all)
	}
	slices.Sort(words)
	return words
}

func put(t *testing.T, e *embedded.Etcd, key string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := e.Client().Put(ctx, key, ""); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func wantKeys(t *testing.T, e *embedded.Etcd, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if got, err := e.Client().Get(t.Context(), key); err != nil || len(got.Kvs) != 1 {
			t.Errorf("Get(%s) = %v, %v, want it", key, got, err)
		}
	}
}

func TestDeadMemberIsReplaced(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	all, settings := form(t, a, "a", "b", "c")
	for name, e := range all {
		put(t, e, "through "+name)
	}
	wantKeys(t, all["a"], "through a", "through b", "through c")
	members := membersOf(t, all["a"])
	if got := names(t, members); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("members = %q, want a, b and c, all healthy", got)
	}

	all["c"].Close()
	if got := names(t, members); !slices.Equal(got, []string{"a", "b", "c is silent"}) {
		t.Errorf("members = %q, want c silent", got)
	}
	if gone, err := members.Remove(t.Context(), "b", false); err == nil || !strings.Contains(err.Error(), "not reachable are: c (") {
		t.Errorf("Remove(b, while c is dead) = %v, %v, want an error that names c", gone, err)
	}
	if gone, err := members.Remove(t.Context(), "b", true); err == nil || !strings.Contains(err.Error(), "not reachable are: c (") {
		t.Errorf("Remove(b, while c is dead, forced) = %v, %v, want etcd's own error, and c", gone, err)
	}
	if initial, err := members.Add(t.Context(), "d", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "not reachable are: c (") {
		t.Errorf("Add(while c is dead) = %q, %v, want an error that names c", initial, err)
	}
	if gone, err := members.Remove(t.Context(), "c", false); err != nil || gone.Name != "c" {
		t.Fatalf("Remove(c) = %v, %v", gone, err)
	}
	promote(t, members)
	d, _ := join(t, members, a, "d")
	put(t, d, "through d")
	wantKeys(t, d, "through a", "through b", "through c", "through d")
	if got := names(t, membersOf(t, d)); !slices.Equal(got, []string{"a", "b", "d"}) {
		t.Errorf("members = %q, want d promoted in place of c", got)
	}

	// The removed one cannot come back by accident.
	if e, err := tryStart(t, settings["c"]); !errors.Is(err, embedded.ErrRemoved) {
		t.Errorf("Start(a removed member) = %v, %v, want ErrRemoved", e, err)
	}
	settings["c"].Cluster.Join = true
	again := settings["c"]
	again.Dir = t.TempDir()
	if e, err := tryStart(t, again); err == nil || !strings.Contains(err.Error(), "add c first") {
		t.Errorf("Start(a removed member, all data gone) = %v, %v, want an error that says what to do", e, err)
	}

	// One that lives hears of it.
	if _, err := members.Remove(t.Context(), "d", false); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-d.Err():
		if !errors.Is(err, embedded.ErrRemoved) {
			t.Errorf("Err() of a removed member = %v, want ErrRemoved", err)
		}
	case <-time.After(time.Minute):
		t.Error("a removed member runs on after a minute")
	}
}

func TestSingleGrowsToThree(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cfg := embedded.Config{Dir: t.TempDir()}
	alone := start(t, cfg)
	put(t, alone, "from the time alone")
	members := membersOf(t, alone)
	if initial, err := members.Add(t.Context(), "b", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "no settings for a cluster") {
		t.Errorf("Add(to one that is alone) = %q, %v, want an error that says why", initial, err)
	}
	alone.Close()

	cfg.Cluster = a.member(t, "a")
	cfg.Cluster.Initial = "a=" + cfg.Cluster.Listen
	first := start(t, cfg)
	members = membersOf(t, first)
	promote(t, members)
	second, _ := join(t, members, a, "b")
	third, _ := join(t, membersOf(t, second), a, "c")
	wantKeys(t, third, "from the time alone")
	put(t, third, "through c")
	wantKeys(t, first, "through c")
	if got := names(t, members); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("members = %q, want a, b and c", got)
	}

	// Who is there can be asked also when no quorum is.
	first.Close()
	second.Close()
	all, err := membersOf(t, third).List(t.Context())
	healthy := slices.DeleteFunc(slices.Clone(all), func(m embedded.Member) bool { return !m.Healthy })
	if err != nil || len(all) != 3 || len(healthy) != 1 || healthy[0].Name != "c" {
		t.Errorf("List() without a quorum = %v, %v, want three with c alone healthy", all, err)
	}
	// Without its settings it would wait in vain for one.
	cfg.Cluster = nil
	if e, err := tryStart(t, cfg); err == nil || !strings.Contains(err.Error(), "a cluster of 3 members") {
		t.Errorf("Start(a member without settings for a cluster) = %v, %v, want an error that says so", e, err)
	}
}

func TestSecondClusterIsNotFounded(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	all, settings := form(t, a, "a")
	put(t, all["a"], "key")
	b := embedded.Config{Dir: t.TempDir(), Cluster: a.member(t, "b")}
	b.Cluster.Initial = settings["a"].Cluster.Initial + ",b=" + b.Cluster.Listen
	if e, err := tryStart(t, b); err == nil || !strings.Contains(err.Error(), "another cluster") {
		t.Errorf("Start(new, beside a cluster of other members) = %v, %v, want an error", e, err)
	}
	// Nor by one that was added, and whose settings do not say join.
	added := embedded.Config{Dir: t.TempDir(), Cluster: a.member(t, "c")}
	initial, err := membersOf(t, all["a"]).Add(t.Context(), "c", added.Cluster.Listen)
	if err != nil {
		t.Fatal(err)
	}
	added.Cluster.Initial = initial
	if e, err := tryStart(t, added); err == nil || !strings.Contains(err.Error(), "another cluster") {
		t.Errorf("Start(added, without join) = %v, %v, want an error", e, err)
	}
	// One that has data of its own is not talked into it either.
	alone := start(t, embedded.Config{Dir: b.Dir})
	alone.Close()
	if e, err := tryStart(t, b); err == nil || !strings.Contains(err.Error(), "another cluster") {
		t.Errorf("Start(grown up alone, beside a cluster) = %v, %v, want an error", e, err)
	}
}

func TestEmptiedMemberIsRefused(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	all, settings := form(t, a, "a", "b", "c")
	all["b"].Close()
	empty := settings["b"]
	empty.Dir = t.TempDir()
	if e, err := tryStart(t, empty); err == nil || !strings.Contains(err.Error(), "data that is not here any more") {
		t.Errorf("Start(a member whose data is gone) = %v, %v, want an error that says what to do", e, err)
	}
	put(t, start(t, settings["b"]), "back with its data")
	wantKeys(t, all["a"], "back with its data")
}

func TestAddRefusesWhatCannotJoin(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	all, settings := form(t, a, "a")
	members := membersOf(t, all["a"])
	for name, test := range map[string]struct{ name, address, want string }{
		"no name":             {"", "127.0.0.1:1", "is no name"},
		"a list as name":      {"b=c", "127.0.0.1:1", "is no name"},
		"no port":             {"b", "127.0.0.1", "not HOST:PORT"},
		"port 0":              {"b", "127.0.0.1:0", "no port"},
		"all addresses":       {"b", "0.0.0.0:1", "all addresses"},
		"no host":             {"b", ":1", "no host"},
		"a name that is here": {"a", "127.0.0.1:1", "already"},
		"an address of ours":  {"b", settings["a"].Cluster.Listen, "already"},
	} {
		t.Run(name, func(t *testing.T) {
			if initial, err := members.Add(t.Context(), test.name, test.address); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Add(%q, %q) = %q, %v, want an error with %q", test.name, test.address, initial, err, test.want)
			}
		})
	}
	if _, err := members.Remove(t.Context(), "x", false); err == nil || !strings.Contains(err.Error(), "there are a (") {
		t.Errorf("Remove(unknown) = %v, want an error that names those that are", err)
	}
	if _, err := members.Remove(t.Context(), "a", true); err == nil || !strings.Contains(err.Error(), "only one") {
		t.Errorf("Remove(the only one, forced) = %v, want an error", err)
	}
	if got := names(t, members); !slices.Equal(got, []string{"a"}) {
		t.Errorf("members = %q, want a alone: nothing was changed", got)
	}
	// One is new at a time; by its id it can be taken back.
	address := freeAddress(t)
	if initial, err := members.Add(t.Context(), "b", address); err != nil || initial != settings["a"].Cluster.Initial+",b="+address {
		t.Fatalf("Add(b) = %q, %v, want both in it", initial, err)
	}
	if _, err := members.Add(t.Context(), "c", freeAddress(t)); err == nil || !strings.Contains(err.Error(), "may not vote yet") {
		t.Errorf("Add(a second one) = %v, want an error that names the first", err)
	}
	list, err := members.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range list {
		if one.Started != (one.Name == "a") || one.Learner == one.Started {
			t.Errorf("List() has %+v, want a started, and the other one a learner", one)
		}
		if one.Learner {
			if _, err := members.Remove(t.Context(), one.ID, false); err != nil {
				t.Errorf("Remove(%s) = %v", one.ID, err)
			}
		}
	}
	if got := names(t, members); !slices.Equal(got, []string{"a"}) {
		t.Errorf("members = %q, want a alone again", got)
	}
}

func TestPeersWithoutACertificateAreRefused(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	_, settings := form(t, a, "a")
	address := settings["a"].Cluster.Listen
	roots := x509.NewCertPool()
	roots.AddCert(a.Cert)
	stranger := newAuthority(t).pair(t, "stranger")
	for name, test := range map[string]struct {
		url  string
		conf *tls.Config
		in   bool
	}{
		"plain HTTP":                   {"http://" + address, nil, false},
		"no certificate":               {"https://" + address, &tls.Config{RootCAs: roots}, false},
		"one from another authority":   {"https://" + address, &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{stranger}}, false},
		"one from the right authority": {"https://" + address, &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{a.pair(t, "x")}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			client := http.Client{Transport: &http.Transport{TLSClientConfig: test.conf, DisableKeepAlives: true}, Timeout: time.Minute}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, test.url+"/members", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			if in := err == nil && resp.StatusCode == http.StatusOK; in != test.in {
				t.Errorf("GET %s = %v, let in = %v, want %v", req.URL, err, in, test.in)
			}
		})
	}
}

// A certificate that the list names is refused from the next connection on, and no other.
func TestPeersWithARevokedCertificateAreRefused(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cfg := embedded.Config{Dir: t.TempDir(), Cluster: a.member(t, "a")}
	cfg.Cluster.Initial, cfg.Cluster.CRLFile = "a="+cfg.Cluster.Listen, filepath.Join(t.TempDir(), "revoked.crl")
	lost, other := a.pair(t, "lost"), a.pair(t, "other")
	revoke(t, cfg.Cluster.CRLFile)
	e, err := tryStart(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(a.Cert)
	letIn := func(pair tls.Certificate) bool {
		client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}, DisableKeepAlives: true}, Timeout: time.Minute}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+cfg.Cluster.Listen+"/members", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	if !letIn(lost) {
		t.Error("a certificate is refused before it is on the list")
	}
	revoke(t, cfg.Cluster.CRLFile, lost)
	if letIn(lost) {
		t.Error("a certificate that is on the list is let in")
	}
	if !letIn(other) {
		t.Error("a certificate that is not on the list is refused")
	}
}

// revoke writes a list of certificates that were revoked. Nobody looks at who signed it.
func revoke(t *testing.T, path string, all ...tls.Certificate) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range all {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(nil, list, &x509.Certificate{KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}}, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, der, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSettingsOfAClusterAreChecked(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	elsewhere, expired := *a.member(t, "a"), *a.member(t, "a")
	elsewhere.CertFile, elsewhere.KeyFile = a.files(t, "elsewhere", "192.0.2.1", time.Hour)
	expired.CertFile, expired.KeyFile = a.files(t, "expired", "127.0.0.1", -time.Hour)
	strange := newAuthority(t).member(t, "a")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*embedded.Cluster)
		want   string
	}{
		"no name":                     {func(c *embedded.Cluster) { c.Name = "" }, "name:"},
		"a name with a comma":         {func(c *embedded.Cluster) { c.Name = "a,b" }, "name:"},
		"no port to listen on":        {func(c *embedded.Cluster) { c.Listen = "127.0.0.1" }, "listen:"},
		"a free port":                 {func(c *embedded.Cluster) { c.Listen = "127.0.0.1:0" }, "listen:"},
		"a name to listen on":         {func(c *embedded.Cluster) { c.Listen = "example.org:2380" }, "listen:"},
		"nobody at first":             {func(c *embedded.Cluster) { c.Initial = "" }, "initial:"},
		"others at first":             {func(c *embedded.Cluster) { c.Initial = "b=127.0.0.1:1" }, "initial: does not hold this member"},
		"a URL at first":              {func(c *embedded.Cluster) { c.Initial = "a=https://127.0.0.1:1" }, "initial: member a"},
		"the same name twice":         {func(c *embedded.Cluster) { c.Initial += ",a=127.0.0.1:1" }, "initial: member a is there twice"},
		"the same address twice":      {func(c *embedded.Cluster) { c.Initial += ",b=" + c.Listen }, "initial: members a and b"},
		"advertised otherwise":        {func(c *embedded.Cluster) { c.Advertise = "127.0.0.1:1" }, "advertise:"},
		"no certificate":              {func(c *embedded.Cluster) { c.CertFile = "" }, "cert_file:"},
		"no key":                      {func(c *embedded.Cluster) { c.KeyFile = "" }, "key_file:"},
		"no authority":                {func(c *embedded.Cluster) { c.CAFile = "" }, "ca_file:"},
		"a key that is not there":     {func(c *embedded.Cluster) { c.KeyFile += "x" }, "key_file:"},
		"a key of another":            {func(c *embedded.Cluster) { c.KeyFile = strange.KeyFile }, "key_file:"},
		"an authority without one":    {func(c *embedded.Cluster) { c.CAFile = empty }, "ca_file:"},
		"a certificate of another":    {func(c *embedded.Cluster) { c.CAFile = strange.CAFile }, "cert_file:"},
		"a certificate for elsewhere": {func(c *embedded.Cluster) { c.CertFile, c.KeyFile = elsewhere.CertFile, elsewhere.KeyFile }, "192.0.2.1"},
		"no list of revoked":          {func(c *embedded.Cluster) { c.CRLFile = empty + "x" }, "crl_file:"},
		"a list that is none":         {func(c *embedded.Cluster) { c.CRLFile = c.CAFile }, "crl_file:"},
		"a certificate that expired":  {func(c *embedded.Cluster) { c.CertFile, c.KeyFile = expired.CertFile, expired.KeyFile }, "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := embedded.Config{Dir: filepath.Join(t.TempDir(), "untouched"), Cluster: a.member(t, "a")}
			cfg.Cluster.Initial = "a=" + cfg.Cluster.Listen
			if err := cfg.Check(); err != nil {
				t.Fatalf("Check() before anything is wrong = %v", err)
			}
			test.change(cfg.Cluster)
			e, err := tryStart(t, cfg)
			if err == nil {
				e.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "cluster: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Start = %v, want an error with %q", err, test.want)
			}
			if _, err := os.Stat(cfg.Dir); err == nil {
				t.Errorf("%s was made before the settings were checked", cfg.Dir)
			}
		})
	}
}

func FuzzInitial(f *testing.F) {
	for _, seed := range []string{"", "a=127.0.0.1:1", "a=[::1]:2380,b=example.org:2380", "a=:1", "a=b=c,,", "=,a"} {
		f.Add(seed, "a")
	}
	f.Fuzz(func(t *testing.T, initial, name string) {
		cfg := embedded.Config{Dir: "x", Cluster: &embedded.Cluster{Name: name, Listen: ":1", Initial: initial}}
		if err := cfg.Check(); err == nil {
			t.Errorf("Check() = nil for %q of %q, want an error: there are no certificates", name, fmt.Sprint(initial))
		}
	})
}

func TestFounds(t *testing.T) {
	for _, tr := range []struct {
		initial string
		join    bool
		want    bool
	}{
		{"a=192.0.2.11:2380", false, true},
		{"a=192.0.2.11:2380", true, false},
		{"a=192.0.2.11:2380,b=192.0.2.12:2380", false, false},
		{"b=192.0.2.12:2380", false, false},
		{"", false, false},
	} {
		c := embedded.Cluster{Name: "a", Initial: tr.initial, Join: tr.join}
		if got := c.Founds(); got != tr.want {
			t.Errorf("Founds() of %q, join %v = %v, want %v", tr.initial, tr.join, got, tr.want)
		}
	}
}
