package update_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/registry/registrytest"
	"github.com/musterhq/muster/update"
)

// Of updates whose prerequisites one of them breaks one is made, and the others
// are told which (RFC 2136, 3.7).
func TestOneOfConflictingUpdatesIsMade(t *testing.T) {
	// Each is sent several times; N is another number in each.
	for _, c := range []struct {
		name   string
		script []string
		rcode  int // of those that are late
	}{
		{"take a free name", []string{"nxdomain new.svc", "add new.svc 60 SRV 0 1000 80 ip-10-0-0-N.addr"}, dns.RcodeYXDomain},
		{"take the name of a service without instances",
			[]string{"nxrrset empty.svc SRV", "add empty.svc 60 SRV 0 1000 80 ip-10-0-0-N.addr"}, dns.RcodeYXRrset},
		{"take a name by its exact one", []string{"nxdomain h-9f1021a650.svc", "add empty.svc 60 SRV 0 1000 80 ip-10-0-0-N.addr"}, dns.RcodeYXDomain},
		{"begin a cluster", []string{"nxdomain one.svc.hz.cl", "add one.svc.hz.cl 60 SRV 0 1000 80 ip-10-0-0-N.addr"}, dns.RcodeYXDomain},
		{"begin a protocol", []string{"nxrrset _http._tcp.one.svc SRV", "add _http._tcp.one.svc 60 SRV 0 1000 80 ip-10-0-0-N.addr"}, dns.RcodeYXRrset},
		{"take one name, and register at another", []string{"nxdomain new.svc", "add new.svc 60 SRV 0 1000 80 ip-10-0-0-N.addr",
			"add other.svc 60 SRV 0 1000 80 ip-10-0-0-N.addr"}, dns.RcodeYXDomain},
		{"replace what is known", []string{"yxrrset one.svc SRV 0 1000 80 ip-10-0-0-99.addr", "delete one.svc SRV",
			"add one.svc 60 SRV 0 1000 80 ip-10-0-0-N.addr"}, dns.RcodeNXRrset},
		{"the last one goes, and another one comes elsewhere", []string{"yxdomain one.svc", "delete one.svc",
			"add other.svc 60 SRV 0 1000 80 ip-10-0-0-N.addr"}, dns.RcodeNameError},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := registrytest.NewStore()
			roll := registry.New(store, &registrytest.Roll{})
			if _, err := roll.CreateService(t.Context(), registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "empty"},
				registry.ServiceSpec{}); err != nil {
				t.Fatal(err)
			}
			do(t, roll, "add one.svc 60 SRV 0 1000 80 ip-10-0-0-99.addr")
			before := store.Commits()
			const many = 5
			var wg, read sync.WaitGroup
			read.Add(many)
			errs := make([]error, many)
			for n := range many {
				script := slices.Clone(c.script)
				for at := range script {
					script[at] = strings.ReplaceAll(script[at], "-N.", fmt.Sprintf("-%d.", n))
				}
				m := message(t, script...)
				first := sync.OnceFunc(func() { read.Done(); read.Wait() }) // all are read by the same roll
				wg.Go(func() {
					_, errs[n] = roll.Change(t.Context(), func(snap *registry.Snapshot) (registry.Changes, error) {
						defer first()
						got, err := update.Read(m, zone, snap, bounds, nil)
						return got.Changes, err
					})
				})
			}
			wg.Wait()
			made := 0
			for n, err := range errs {
				if err == nil {
					made++
				} else if e, ok := errors.AsType[*update.Error](err); !ok || e.Rcode != c.rcode {
					t.Errorf("update %d = %v, want %s", n, err, dns.RcodeToString[c.rcode])
				}
			}
			if commits := store.Commits() - before; made != 1 || commits != 1 {
				t.Errorf("%d updates were made in %d commits, want one", made, commits)
			}
		})
	}
}
