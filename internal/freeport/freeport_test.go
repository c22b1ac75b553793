package freeport_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/musterhq/muster/internal/freeport"
)

func TestFind(t *testing.T) {
	seen := map[uint16]bool{}
	for range 200 {
		port, err := freeport.Find("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if port >= 32768 || port < 1024 || seen[port] {
			t.Fatalf("Find = %d, want a new one from 1024 to 32767", port)
		}
		seen[port] = true
	}
	port, err := freeport.Find("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
	var l net.ListenConfig
	tcp, err := l.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := l.ListenPacket(t.Context(), "udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
}

func TestFindElsewhere(t *testing.T) {
	for _, host := range []string{"192.0.2.1", "no such host"} {
		if port, err := freeport.Find(host); err == nil {
			t.Errorf("Find at %s, which is not here, = %d, want an error", host, port)
		}
	}
}
