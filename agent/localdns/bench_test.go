package localdns_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/agent/localdns"
)

// BenchmarkAnswer measures one client that asks over UDP and waits: what is kept, a
// service's addresses drawn, a miss that a server on loopback answers, and what is
// stale.
func BenchmarkAnswer(b *testing.B) {
	lines := service(1, 2, 3, 4, 5, 6, 7, 8)
	run := func(b *testing.B, f *fake, prepare func(ask func(string)), name func(i int) string) {
		r, err := localdns.Open(localdns.Config{Listen: "127.0.0.1:0", ResolvConf: "/dev/null", Servers: []string{f.addr}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				b.Error(err)
			}
		}()
		conn, err := (&net.Dialer{}).DialContext(b.Context(), "udp", r.Address())
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		buf := make([]byte, 4096)
		ask := func(name string) {
			q := new(dns.Msg).SetQuestion(name, dns.TypeA)
			q.SetEdns0(1232, false)
			wire, err := q.Pack()
			if err != nil {
				b.Fatal(err)
			}
			if _, err := conn.Write(wire); err != nil {
				b.Fatal(err)
			}
			if n, err := conn.Read(buf); err != nil || n < 12 {
				b.Fatal(n, err)
			}
		}
		prepare(ask)
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			ask(name(i))
			i++
		}
	}
	b.Run("drawn of 8", func(b *testing.B) {
		f := startFake(b, lines...)
		run(b, f, func(ask func(string)) { ask(order) }, func(int) string { return order })
	})
	b.Run("kept", func(b *testing.B) {
		f := startFake(b, "x.muster.internal. 3600 IN A 192.0.2.1")
		run(b, f, func(ask func(string)) { ask("x.muster.internal.") }, func(int) string { return "x.muster.internal." })
	})
	b.Run("miss", func(b *testing.B) {
		f := startFake(b)
		run(b, f, func(func(string)) {}, func(i int) string { return fmt.Sprintf("%d.muster.internal.", i) })
	})
	b.Run("stale", func(b *testing.B) {
		f := startFake(b, "x.muster.internal. 1 IN A 192.0.2.1")
		run(b, f, func(ask func(string)) {
			ask("x.muster.internal.")
			f.deaf.Store(true)
			for range 3 {
				ask("nope.muster.internal.") // until no server counts as up
			}
		}, func(int) string { return "x.muster.internal." })
	})
	b.Run("localhost", func(b *testing.B) {
		f := startFake(b)
		run(b, f, func(func(string)) {}, func(int) string { return "localhost." })
	})
}
