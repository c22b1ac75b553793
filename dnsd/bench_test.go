package dnsd_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// window is how many queries a benchmark has under way.
const window = 64

// BenchmarkUDP asks through CoreDNS and a plugin that answers at once.
func BenchmarkUDP(b *testing.B) {
	for name, bind := range map[string]string{"address": " bind 127.0.0.1\n", "wildcard": ""} {
		b.Run(name, func(b *testing.B) {
			_, addr := open(b, ".:PORT {\n"+bind+" muster\n}", dnsd.Config{Storage: map[any]any{textKey{}: "text"}})
			askInWindows(b, addr, question("a.example.org.", dns.TypeTXT))
		})
	}
}

// BenchmarkHotPath asks a hot path that does nothing.
func BenchmarkHotPath(b *testing.B) {
	_, addr := open(b, ".:PORT {\n bind 127.0.0.1\n muster\n}", dnsd.Config{Storage: map[any]any{hotKey{}: echo{}}})
	askInWindows(b, addr, question("a.example.org.", dns.TypeTXT))
}

// askInWindows counts a whole window as one operation, and reports a query.
func askInWindows(b *testing.B, addr string, m *dns.Msg) {
	b.Helper()
	conn, err := dial(b, "udp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	query, err := m.Pack()
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 1500)
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		exchangeWindow(b, conn, query, buf)
	}
	queries := float64(b.N) * window
	b.ReportMetric(float64(b.Elapsed())/queries, "ns/query")
	b.ReportMetric(float64(cpu(b)-before)/queries, "cpu-ns/query")
}

// cpu is the processor time of this process, server and client together.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func exchangeWindow(b *testing.B, conn net.Conn, query, buf []byte) {
	b.Helper()
	for range window {
		if _, err := conn.Write(query); err != nil {
			b.Fatal(err)
		}
	}
	for range window {
		if _, err := conn.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTCP pipelines half a window over one connection.
func BenchmarkTCP(b *testing.B) {
	const window = window / 2
	_, addr := open(b, ".:PORT {\n bind 127.0.0.1\n muster\n}", dnsd.Config{Storage: map[any]any{textKey{}: "text"}})
	conn, err := dial(b, "tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	query, err := question("a.example.org.", dns.TypeTXT).Pack()
	if err != nil {
		b.Fatal(err)
	}
	queries := slices.Repeat(append([]byte{0, byte(len(query))}, query...), window)
	in := bufio.NewReaderSize(conn, 1<<16)
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		if _, err := conn.Write(queries); err != nil {
			b.Fatal(err)
		}
		for range window {
			var length [2]byte
			if _, err := io.ReadFull(in, length[:]); err != nil {
				b.Fatal(err)
			}
			if _, err := in.Discard(int(binary.BigEndian.Uint16(length[:]))); err != nil {
				b.Fatal(err)
			}
		}
	}
	n := float64(b.N) * window
	b.ReportMetric(float64(b.Elapsed())/n, "ns/query")
	b.ReportMetric(float64(cpu(b)-before)/n, "cpu-ns/query")
}

// BenchmarkGateDrops sends windows of packets that the gate drops, but for the last.
func BenchmarkGateDrops(b *testing.B) {
	_, addr := open(b, ".:PORT {\n bind 127.0.0.1\n muster\n}", dnsd.Config{Storage: map[any]any{gateKey{}: &oneOf{n: window}, hotKey{}: echo{}}})
	conn, err := dial(b, "udp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	query, err := question("a.example.org.", dns.TypeTXT).Pack()
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 1500)
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		for range window {
			if _, err := conn.Write(query); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := conn.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
	packets := float64(b.N) * window
	b.ReportMetric(float64(b.Elapsed())/packets, "ns/packet")
	b.ReportMetric(float64(cpu(b)-before)/packets, "cpu-ns/packet")
}

// oneOf lets the n-th packet pass, for one socket.
type oneOf struct{ n, seen int }

func (g *oneOf) Admit([]byte, netip.AddrPort) (answer, truncated bool) {
	g.seen++
	return g.seen%g.n == 0, false
}
