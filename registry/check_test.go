package registry_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/registry"
)

func TestHealthCheckValidate(t *testing.T) {
	for _, c := range []struct {
		name  string
		check registry.HealthCheck
		want  string // part of the error; empty: valid
	}{
		{"none", registry.HealthCheck{Kind: registry.CheckNone}, ""},
		{"tcp at a port", registry.HealthCheck{Kind: registry.CheckTCP, Port: 80}, ""},
		{"http with everything", registry.HealthCheck{Kind: registry.CheckHTTP, Path: "/a", Headers: map[string]string{"A": "b"}, Expect: []int{200, 302},
			TLS: true, Interval: time.Minute, Timeout: time.Second, Rise: 1, Fall: 100}, ""},
		{"mysql", registry.HealthCheck{Kind: registry.CheckMySQL, User: "u", Password: "p", Command: "select 1"}, ""},
		{"grpc", registry.HealthCheck{Kind: registry.CheckGRPC, Service: "s", TLS: true}, ""},
		{"no kind", registry.HealthCheck{}, "none of none, tcp"},
		{"another kind", registry.HealthCheck{Kind: "exec"}, "none of none, tcp"},
		{"what belongs to another kind", registry.HealthCheck{Kind: registry.CheckTCP, Path: "/a"}, "does not belong to a check of kind tcp"},
		{"a path without a slash", registry.HealthCheck{Kind: registry.CheckHTTP, Path: "a"}, "does not begin with /"},
		{"a header that splits the request", registry.HealthCheck{Kind: registry.CheckHTTP, Headers: map[string]string{"A": "b\r\nC: d"}}, "no header"},
		{"a header whose name has a space", registry.HealthCheck{Kind: registry.CheckHTTP, Headers: map[string]string{"A b": "c"}}, "no header"},
		{"a header with a control character", registry.HealthCheck{Kind: registry.CheckHTTP, Headers: map[string]string{"A": "b\x00"}}, "no header"},
		{"too many statuses", registry.HealthCheck{Kind: registry.CheckHTTP, Expect: make([]int, 65)}, "64 statuses"},
		{"a path with a broken escape", registry.HealthCheck{Kind: registry.CheckHTTP, Path: "/%zz"}, "no path"},
		{"a path with a line break", registry.HealthCheck{Kind: registry.CheckHTTP, Path: "/a\nb"}, "no path"},
		{"a command that is too long", registry.HealthCheck{Kind: registry.CheckMySQL, Command: strings.Repeat("c", 1025)}, "longer than 1024"},
		{"a status that does not exist", registry.HealthCheck{Kind: registry.CheckHTTP, Expect: []int{99}}, "no HTTP status"},
		{"too often", registry.HealthCheck{Kind: registry.CheckTCP, Interval: time.Millisecond}, "no interval"},
		{"a timeout over the interval", registry.HealthCheck{Kind: registry.CheckTCP, Timeout: time.Minute}, "no timeout"},
		{"a negative rise", registry.HealthCheck{Kind: registry.CheckTCP, Rise: -1}, "no rise and fall"},
		{"a password that is too long", registry.HealthCheck{Kind: registry.CheckRedis, Password: strings.Repeat("p", 3000)}, "longer"},
	} {
		err := c.check.Validate()
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, registry.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: Validate() = %v, want %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "ppp") {
			t.Errorf("%s: the error shows the password", c.name)
		}
	}
}

// A verdict of a check counts for as long as its instance is checked that way.
func TestVerdictsOfChecks(t *testing.T) {
	s := newSetting(t)
	k := endpoint("db", "10.0.0.1", 3306)
	r := persistent(k)
	r.Checked = true
	s.register(r)
	check := func() string {
		t.Helper()
		v := s.Snapshot().Service(k.Service)
		c := v.Check(v.Instance(k.Endpoint))
		if c == nil {
			return ""
		}
		return c.ID()
	}
	healthy := func(step string, want, failing bool) {
		t.Helper()
		if i := s.Snapshot().Instance(k); i.Healthy != want || i.Failing != failing {
			t.Errorf("%s: healthy %v, failing %v, want %v and %v", step, i.Healthy, i.Failing, want, failing)
		}
		s.whole()
	}
	must := func(_ registry.Receipt, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tcp := check()
	if !strings.HasPrefix(tcp, "tcp:") {
		t.Fatalf("a checked instance without any word of its cluster has check %q, want tcp", tcp)
	}
	before := s.store.Commits()
	must(s.Failed(t.Context(), k, "another", "refused"))
	healthy("the verdict of a check that is not run", true, false)
	if s.store.Commits() != before {
		t.Error("the verdict of a check that is not run was written")
	}
	must(s.Failed(t.Context(), k, tcp, "refused"))
	healthy("failed", false, true)
	must(s.Passed(t.Context(), k, "another"))
	healthy("passed by a check that is not run", false, true)
	before = s.store.Commits()
	must(s.Failed(t.Context(), k, tcp, "refused"))
	if s.store.Commits() != before {
		t.Error("the same verdict was written twice")
	}
	heavier := r
	heavier.Weight = 2
	s.register(heavier)
	healthy("changed while failing", false, true)
	must(s.Passed(t.Context(), k, tcp))
	healthy("passed", true, false)

	must(s.Failed(t.Context(), k, tcp, "refused"))
	must(s.UpdateCluster(t.Context(), k.Service, registry.DefaultCluster, registry.Cluster{Check: &registry.HealthCheck{Kind: registry.CheckMySQL, User: "u"}}))
	healthy("checked otherwise", true, false)
	mysql := registry.HealthCheck{Kind: registry.CheckMySQL, User: "u"}
	if v := s.Snapshot().Failure(s.Snapshot().Instance(k)); v != nil {
		t.Errorf("Failure of one that does not fail = %+v", v)
	}
	must(s.Failed(t.Context(), k, check(), "refused"))
	healthy("the new check fails", false, true)
	mysql.Interval, mysql.Fall = time.Minute, 10
	must(s.UpdateCluster(t.Context(), k.Service, registry.DefaultCluster, registry.Cluster{Check: &mysql}))
	healthy("asked as before, at other times", false, true)
	if v := s.Snapshot().Failure(s.Snapshot().Instance(k)); v == nil || v.Why != "refused" {
		t.Errorf("Failure = %+v, want refused", v)
	}
	if _, err := s.Override(t.Context(), k, registry.Edit{Healthy: new(true)}); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("Override of a health that is checked = %v, want ErrConflict", err)
	}
	must(s.UpdateCluster(t.Context(), k.Service, registry.DefaultCluster, registry.Cluster{Check: &registry.HealthCheck{Kind: registry.CheckNone}}))
	healthy("checked no more", true, false)
	must(s.Override(t.Context(), k, registry.Edit{Healthy: new(false)}))
	healthy("the operator's say", false, false)
}

// What comes between the decision on a verdict and its commit counts.
func TestVerdictsOfChecksRace(t *testing.T) {
	k := endpoint("db", "10.0.0.1", 3306)
	r := persistent(k)
	r.Checked, r.Healthy = true, false
	id := func(s *setting) string {
		t.Helper()
		v := s.Snapshot().Service(k.Service)
		return v.Check(v.Instances.First()).ID()
	}
	t.Run("checked otherwise, and failed", func(t *testing.T) {
		s := newSetting(t)
		s.register(r)
		tcp := id(s)
		s.interrupt(func() {
			_, err := s.other.UpdateCluster(t.Context(), k.Service, registry.DefaultCluster, registry.Cluster{Check: &registry.HealthCheck{Kind: registry.CheckGRPC}})
			if err == nil {
				_, err = s.other.Failed(t.Context(), k, id(s), "refused")
			}
			if err != nil {
				t.Error(err)
			}
		})
		if _, err := s.Failed(t.Context(), k, tcp, "refused"); err != nil || !s.Snapshot().Instance(k).Failing {
			t.Errorf("Failed = %v, and the verdict of the newer check is gone", err)
		}
	})
	t.Run("declared anew, and passed", func(t *testing.T) {
		s := newSetting(t)
		s.register(r)
		heavier := r
		heavier.Weight = 7
		s.interrupt(func() {
			if _, err := s.other.Register(t.Context(), heavier); err != nil {
				t.Error(err)
			}
		})
		if _, err := s.Passed(t.Context(), k, id(s)); err != nil {
			t.Fatal(err)
		}
		if i := s.Snapshot().Instance(k); i.Weight != 7 || !i.Healthy {
			t.Errorf("weight %v, healthy %v, want what its owner declared meanwhile, and healthy", i.Weight, i.Healthy)
		}
	})
}

// What a check said of an instance is not held against the one that comes after it.
func TestVerdictOfACheckEndsWithItsInstance(t *testing.T) {
	s := newSetting(t)
	k := endpoint("db", "10.0.0.1", 3306)
	r := persistent(k)
	r.Checked, r.Healthy = true, false
	s.register(r)
	v := s.Snapshot().Service(k.Service)
	id := v.Check(v.Instances.First()).ID()
	if _, err := s.Failed(t.Context(), k, id, "refused"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Passed(t.Context(), k, id); err != nil {
		t.Fatal(err)
	}
	if i := s.Snapshot().Instance(k); !i.Healthy {
		t.Error("an instance declared unhealthy stays so after its check passed")
	}
	if _, err := s.Failed(t.Context(), k, id, "refused"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Withdraw(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Failed(t.Context(), k, id, "refused"); err != nil {
		t.Fatal(err)
	}
	r.Healthy = true
	s.register(r)
	if i := s.Snapshot().Instance(k); !i.Healthy {
		t.Error("a new instance bears the verdict on the one before it")
	}
	s.whole()
}

func TestEphemeralInstancesAreNotChecked(t *testing.T) {
	s := newSetting(t)
	k := endpoint("db", "10.0.0.1", 3306)
	s.register(registration(k))
	if _, err := s.UpdateCluster(t.Context(), k.Service, registry.DefaultCluster, registry.Cluster{Check: httpCheck}); err != nil {
		t.Fatal(err)
	}
	v := s.Snapshot().Service(k.Service)
	if c := v.Check(v.Instances.First()); c != nil {
		t.Errorf("Check() = %+v, want nil", c)
	}
	if _, err := s.Failed(t.Context(), k, httpCheck.ID(), "refused"); err != nil || !s.Snapshot().Instance(k).Healthy {
		t.Errorf("Failed = %v, healthy %v, want nothing to happen", err, s.Snapshot().Instance(k).Healthy)
	}
	if _, err := s.Override(t.Context(), k, registry.Edit{Healthy: new(false)}); !errors.Is(err, registry.ErrConflict) {
		t.Errorf("Override of the health of an instance that beats = %v, want ErrConflict", err)
	}
}

// A password that is left out is the one that stands when it is written, not the one
// that stood when it was read.
func TestPasswordsOfChecksStay(t *testing.T) {
	s := newSetting(t)
	k := service("db")
	mysql := func(user, password string) registry.Cluster {
		return registry.Cluster{Check: &registry.HealthCheck{Kind: registry.CheckMySQL, User: user, Password: password}}
	}
	if _, err := s.CreateService(t.Context(), k, registry.ServiceSpec{Clusters: map[string]registry.Cluster{"bj": mysql("u", "old")}}); err != nil {
		t.Fatal(err)
	}
	put := func(r *registry.Registry, c registry.Cluster) error {
		_, err := r.UpdateCluster(t.Context(), k, "bj", c)
		return err
	}
	s.interrupt(func() {
		if err := put(s.other, mysql("u", "new")); err != nil {
			t.Error(err)
		}
	})
	changed := mysql("u", "")
	changed.Check.Command = "select 2"
	for _, step := range []struct {
		name  string
		write func() error
		want  string
	}{
		{"a cluster, after somebody set another one", func() error { return put(s.Registry, changed) }, "new"},
		{"all clusters", func() error {
			_, err := s.UpdateService(t.Context(), k, registry.ServiceSpec{Clusters: map[string]registry.Cluster{"bj": mysql("u", "")}})
			return err
		}, "new"},
		{"another user", func() error { return put(s.Registry, mysql("v", "")) }, ""},
	} {
		if err := step.write(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := s.Snapshot().Service(k).Clusters["bj"].Check.Password; got != step.want {
			t.Errorf("%s: the password is %q, want %q", step.name, got, step.want)
		}
	}
	if changed.Check.Password != "" {
		t.Error("what the caller said was changed")
	}
}

func TestUpdateClusterRefuses(t *testing.T) {
	s := newSetting(t)
	k := service("db")
	if _, err := s.UpdateCluster(t.Context(), k, "bj", registry.Cluster{}); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("UpdateCluster of an unknown service = %v, want ErrNotFound", err)
	}
	for _, c := range []struct {
		name    string
		cluster registry.Cluster
	}{
		{"a_b", registry.Cluster{}},
		{"bj", registry.Cluster{Check: &registry.HealthCheck{Kind: "exec"}}},
		{"bj", registry.Cluster{Metadata: map[string]string{"a": strings.Repeat("b", registry.MaxMetadata)}}},
	} {
		if _, err := s.UpdateCluster(t.Context(), k, c.name, c.cluster); !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("UpdateCluster(%s, %+v) = %v, want ErrInvalid", c.name, c.cluster, err)
		}
	}
}
