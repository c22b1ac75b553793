package etcdstore_test

import (
	"testing"
	"time"

	"github.com/musterhq/muster/etcdstore"
)

func TestAgeIsProvenByProbesThatAreShown(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name string
		do   func(p *etcdstore.Proof)
		want time.Duration
	}{
		{"nothing is proven at first", func(p *etcdstore.Proof) { p.Show(0, 9, 9) }, 0},
		{"snapshots that are there before the probe", func(p *etcdstore.Proof) {
			p.Show(0, 5, 5)
			p.Read(1*s, 0, 5, 4)
		}, 1 * s},
		{"one of two domains is behind", func(p *etcdstore.Proof) {
			p.Show(0, 5, 5)
			p.Read(1*s, 0, 5, 4)
			p.Read(2*s, 0, 5, 6)
		}, 1 * s},
		{"a snapshot that comes later counts from the probe's begin", func(p *etcdstore.Proof) {
			p.Read(1*s, 0, 5, 5)
			p.Read(2*s, 0, 7, 5)
			p.Read(3*s, 0, 9, 5)
			p.Show(0, 8, 5)
		}, 2 * s},
		{"the later of two probes that saw the same", func(p *etcdstore.Proof) {
			p.Read(1*s, 0, 5, 5)
			p.Read(2*s, 0, 5, 5)
			p.Show(0, 5, 5)
		}, 2 * s},
		{"a later event proves nothing by itself", func(p *etcdstore.Proof) {
			p.Show(0, 5, 5)
			p.Read(1*s, 0, 5, 5)
			p.Show(0, 99, 99)
		}, 1 * s},
		{"another history is not shown by higher revisions of the old one", func(p *etcdstore.Proof) {
			p.Show(0, 9, 9)
			p.Read(1*s, 0, 9, 9)
			p.Read(2*s, 1, 3, 3)
		}, 1 * s},
		{"a list of the new history shows it", func(p *etcdstore.Proof) {
			p.Show(0, 9, 9)
			p.Read(1*s, 0, 9, 9)
			p.Read(2*s, 1, 3, 3)
			p.Show(1, 3, 3)
		}, 2 * s},
		{"more probes than are kept never understate the age", func(p *etcdstore.Proof) {
			for i := range 1000 {
				p.Read(time.Duration(i+1)*s, 0, int64(i+1), 1)
			}
			p.Show(0, 999, 1) // all but the last one, which gave way to none
		}, 63 * s},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var p etcdstore.Proof
			test.do(&p)
			if got := p.Proven(); got != test.want {
				t.Errorf("proven = %v, want %v", got, test.want)
			}
		})
	}
}

func TestStuckWatchIsOneThatStaysBehind(t *testing.T) {
	var p etcdstore.Proof
	p.Show(0, 5, 5)
	p.Read(1*time.Second, 0, 6, 5)
	p.Read(8*time.Second, 0, 6, 5) // sees the same: still behind since the first
	if p.BehindRegistry(time.Second) {
		t.Error("behind a probe that began after the time asked for = true, want false")
	}
	if !p.BehindRegistry(2 * time.Second) {
		t.Error("behind a probe that is not shown = false, want true")
	}
	p.Show(0, 6, 5)
	if p.BehindRegistry(2 * time.Second) {
		t.Error("behind a probe that is shown = true, want false")
	}
}
