package dnsd_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/musterhq/muster/dnsd"
)

// saysNoMore opens n connections that say what is given, and then nothing more. It returns
// what waits until the server has closed all of them.
func saysNoMore(t *testing.T, n int, address, says string) (ended func()) {
	t.Helper()
	var all sync.WaitGroup
	for range n {
		c, err := net.DialTimeout("tcp", address, 5*time.Second) //nolint:noctx // it has a bound
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, says); err != nil {
			continue // it gave way already
		}
		all.Go(func() {
			if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Error(err)
			}
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a silent connection of %q stays open", says)
			}
		})
	}
	return all.Wait
}

// Who opens connections and says nothing keeps nobody out, and is closed in the end.
func TestSilentConnectionsGiveWay(t *testing.T) {
	query, err := question("a.", dns.TypeTXT).Pack()
	if err != nil {
		t.Fatal(err)
	}
	const hello = "\x16\x03\x01\x02\x00\x01" // the begin of one, of 512 bytes
	for _, tr := range transports {
		if tr.network != "tcp" {
			continue
		}
		t.Run(tr.name, func(t *testing.T) {
			leavesNothing(t)
			s := openSecured(t, tr.scheme, " timeouts {\n read 1s\n idle 1s\n }\n whoami", dnsd.Config{MaxConns: 8})
			var ended []func()
			for _, says := range []string{"", hello} {
				ended = append(ended, saysNoMore(t, 40, s.addr, says))
				answer, _ := tr.ask(t, s, query)
				if got := rcode(t, answer); got != "NOERROR" {
					t.Errorf("answer beside silent connections = %s", got)
				}
			}
			if tr.scheme == "grpc" {
				return // its silent ones stay until others need their places
			}
			for _, wait := range ended {
				wait()
			}
		})
	}
}
