package dnsd

import (
	"bytes"
	"net"
	"testing"
	"time"
)

// Of several long packets in a batch the last one is whole, and the others are lost.
func TestLongPacketsInOneBatch(t *testing.T) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m, err := newMmsg(conn, false)
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.DialUDP("udp", nil, conn.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	sizes := []int{mostQuery + 1, 12, 5000, mostQuery, 3000, 0}
	for i, size := range sizes {
		if _, err := client.Write(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := m.read(); n != len(sizes) || err != nil {
		t.Fatalf("read %d, %v", n, err)
	}
	for i, size := range sizes {
		p, _ := m.packet(i)
		if lost := size > mostQuery && size != 3000; lost != (p == nil) || !lost && !bytes.Equal(p, bytes.Repeat([]byte{byte(i)}, size)) {
			t.Errorf("packet of %d octets: %d, lost %t", size, len(p), p == nil)
		}
	}
}

// A packet that cannot be sent stops no other one.
func TestOneBadAnswer(t *testing.T) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMmsg(conn, false)
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.DialUDP("udp", nil, conn.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const packets = 5
	read := func() int {
		t.Helper()
		for i := range packets {
			if _, err := client.Write([]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		n, err := m.read() // what was sent over loopback is there
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			p, _ := m.packet(i)
			m.answer(i, copy(m.room(), p))
		}
		return n
	}
	for _, bad := range [][]int{nil, {0}, {2}, {4}, {0, 1}, {1, 3}, {3, 4}, {0, 1, 2, 3, 4}} {
		if n := read(); n != packets {
			t.Fatalf("read %d packets, want %d", n, packets)
		}
		isBad := map[int]bool{}
		for _, i := range bad {
			m.from[i].Port = 0 // which nothing can be sent to
			isBad[i] = true
		}
		if lost := m.send(); lost != len(bad) {
			t.Errorf("%v are bad: lost %d", bad, lost)
		}
		for i := range packets {
			if isBad[i] {
				continue
			}
			var buf [2]byte
			if err := client.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if n, err := client.Read(buf[:]); err != nil || n != 1 || buf[0] != byte(i) {
				t.Errorf("%v are bad: read %v, %v, want answer %d", bad, buf[:n], err, i)
			}
		}
	}
	read()
	conn.Close()
	if lost := m.send(); lost != packets {
		t.Errorf("a closed socket has lost %d answers, want all %d", lost, packets)
	}
	if _, err := m.read(); err == nil {
		t.Error("a closed socket was read")
	}
}
