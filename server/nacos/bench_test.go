package nacos_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/musterhq/muster/registry"
)

// register adds instances to the service s.
func (w *world) register(b *testing.B, n int) {
	for i := range n {
		_, err := w.reg.Register(b.Context(), registry.Registration{
			Key: registry.InstanceKey{
				Service:  registry.ServiceKey{Namespace: "public", Group: "DEFAULT_GROUP", Name: "s"},
				Endpoint: registry.Endpoint{Host: fmt.Sprintf("10.0.%d.%d", i/256, i%256), Port: 80},
			},
			Weight: 1, Enabled: true, Healthy: true, Witness: registry.WitnessHTTP,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBeat(b *testing.B) {
	w := newWorld(b)
	w.register(b, 1)
	const body = `serviceName=DEFAULT_GROUP@@s&beat={"ip":"10.0.0.0","port":80,"cluster":"DEFAULT","weight":1.0,"metadata":{}}`
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequestWithContext(b.Context(), http.MethodPut, "/nacos/v1/ns/instance/beat", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rec := httptest.NewRecorder()
		if w.ServeHTTP(rec, req); rec.Code != http.StatusOK {
			b.Fatalf("beat = %d %q", rec.Code, rec.Body)
		}
		w.roll.Take()
	}
}

func BenchmarkList(b *testing.B) {
	w := newWorld(b)
	w.register(b, 100)
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/nacos/v1/ns/instance/list?serviceName=s", nil)
		rec := httptest.NewRecorder()
		if w.ServeHTTP(rec, req); rec.Code != http.StatusOK {
			b.Fatalf("list = %d %q", rec.Code, rec.Body)
		}
	}
}
