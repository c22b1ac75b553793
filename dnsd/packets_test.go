package dnsd_test

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

func TestUDPQueriesUnderWayAreBounded(t *testing.T) {
	const most, more = 4096, 100
	h := &hold{arrived: make(chan struct{}, most+more), release: make(chan struct{})}
	_, addr := open(t, ".:PORT {\n bind 127.0.0.1\n muster\n}", dnsd.Config{Storage: map[any]any{holdKey{}: h, textKey{}: "text"}})
	conn, err := dial(t, "udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	wire, err := question("held.", dns.TypeTXT).Pack()
	if err != nil {
		t.Fatal(err)
	}
	send := func() {
		if _, err := conn.Write(wire); err != nil {
			t.Fatal(err)
		}
	}
	for range most {
		send()
		<-h.arrived
	}
	for range more {
		send()
	}
	eventually(t, "packets dropped", func() bool { return dropped(t, addr, "udp") == more })
	if len(h.arrived) > 0 {
		t.Errorf("%d queries above the limit were answered", len(h.arrived))
	}
	// There is room for TCP, and again for UDP when these are done.
	exchange(t, "tcp", addr, question("a.", dns.TypeTXT))
	close(h.release)
	eventually(t, "answer", func() bool {
		c := &dns.Client{Timeout: 100 * time.Millisecond}
		_, _, err := c.Exchange(question("a.", dns.TypeTXT), addr)
		return err == nil
	})
}

func TestSystemsWithoutBatches(t *testing.T) {
	t.Cleanup(dnsd.WithoutBatches())
	for name, bind := range map[string]string{"address": " bind 127.0.0.1\n", "wildcard": ""} {
		t.Run(name, func(t *testing.T) {
			_, addr := open(t, ".:PORT {\n"+bind+" muster\n}", dnsd.Config{Storage: map[any]any{hotKey{}: hotName("hot."), textKey{}: "cold"}})
			for range 3 {
				if r := exchange(t, "udp", addr, question("hot.", dns.TypeTXT)); len(r.Answer) != 0 {
					t.Errorf("hot name = %v, want the hot path's empty answer", r.Answer)
				}
				if got := answer(t, exchange(t, "udp", addr, question("cold.", dns.TypeTXT))); got != `"cold"` {
					t.Errorf("cold name = %s, want CoreDNS's answer", got)
				}
			}
		})
	}
}
