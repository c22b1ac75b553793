package answer_test

import (
	"fmt"
	"testing"

	"github.com/musterhq/muster/answer"
)

func BenchmarkResolve(b *testing.B) {
	for _, n := range []int{1, 3, 10, 16, 17, 300, 50_000} {
		snap := weighted(repeat((n+3)/4, 1, 2, 3, 4)[:n])
		for _, q := range []answer.Question{
			{Name: "x.svc", Type: answer.A, Max: 8},
			{Name: "x.svc", Type: answer.SRV, Max: 61},
		} {
			kind := map[answer.Type]string{answer.A: "A", answer.SRV: "SRV"}[q.Type]
			b.Run(fmt.Sprintf("%s/instances=%d", kind, n), func(b *testing.B) {
				var r answer.Resolver
				b.ReportAllocs()
				for b.Loop() {
					r.Resolve(snap, q, answer.Random)
				}
			})
		}
	}
}

func BenchmarkResolveSpelling(b *testing.B) {
	snap := plain()
	for _, name := range []string{"order-api.svc", "Order-API.svc", "order-api.svc.bj.cl", "ip-10-0-0-1.addr", "nope.svc"} {
		b.Run(name, func(b *testing.B) {
			var r answer.Resolver
			q := answer.Question{Name: name, Type: answer.A, Raw: true, Max: 8}
			b.ReportAllocs()
			for b.Loop() {
				r.Resolve(snap, q, answer.Random)
			}
		})
	}
}
