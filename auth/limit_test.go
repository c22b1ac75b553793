package auth_test

import (
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/musterhq/muster/auth"
)

// Who cannot log in must not be able to keep others from it.
func TestOthersCannotLockOut(t *testing.T) {
	l, now := auth.NewLimiter(), time.Now()
	office, loopback := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:127.0.0.1")
	if !l.Try(auth.Admin, office, now, true) {
		t.Fatal("the first try may not be made")
	}
	strangers := []string{"198.51.100.1", "198.51.100.2", "198.51.100.3"}
	for at, text := range strangers {
		from := netip.MustParseAddr(text)
		tried := 0
		for n := range 20000 { // more than are kept
			now = now.Add(time.Microsecond)
			if l.Try("u"+strconv.Itoa(at)+"-"+strconv.Itoa(n), from, now, false) {
				tried++
			}
		}
		if tried > 100 {
			t.Errorf("one address makes %d wrong tries at once", tried)
		}
	}
	for n := range 200 {
		l.Try(auth.Admin, netip.AddrFrom4([4]byte{203, 0, 113, byte(n)}), now, false)
	}
	if l.Try(auth.Admin, netip.MustParseAddr("192.0.2.99"), now, true) {
		t.Error("a user is tried from all addresses without end")
	}
	if !l.Try(auth.Admin, office, now, true) {
		t.Error("who has logged in from there before is locked out by others")
	}
	if !l.Try(auth.Admin, loopback, now, true) {
		t.Error("the server's own host is locked out by others")
	}
}

// What makes room in a full table is what was tried longest ago, and not a lock that
// somebody ran into since.
func TestFullTableForgetsTheOldest(t *testing.T) {
	l, now := auth.NewLimiter(), time.Now()
	source := func(n int) netip.Addr {
		return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
	lock := func(user string) {
		for range auth.FreeTries {
			l.Try(user, source(0), now, false)
		}
	}
	l.Try("right", source(1<<31), now, true)
	lock("old")
	now = now.Add(time.Microsecond)
	l.Try("new", source(0), now, false)
	others := 0
	fill := func(n int) {
		for range n {
			others++
			now = now.Add(time.Microsecond)
			l.Try("u"+strconv.Itoa(others), source(others), now, false)
		}
	}
	fill(auth.MaxTracked / 2)
	lock("new")
	fill(auth.MaxTracked/2 - 2)
	for _, user := range []string{"old", "new"} {
		if l.Try(user, source(0), now, true) {
			t.Errorf("%s may be tried, while there is room for its lock", user)
		}
	}
	fill(1)
	if !l.Try("old", source(0), now, false) {
		t.Error("what was tried longest ago is not forgotten")
	}
	if l.Try("new", source(0), now, true) {
		t.Error("what was tried since is forgotten before others")
	}
	fill(auth.MaxTracked)
	for n := range 200 {
		l.Try("right", source(1<<30+n), now, false)
	}
	if !l.Try("right", source(1<<31), now, true) {
		t.Error("who was right is forgotten for others who were not")
	}
}

// BenchmarkFullTables is a try while as many were made as are kept.
func BenchmarkFullTables(b *testing.B) {
	l, now, n := auth.NewLimiter(), time.Now(), 0
	for b.Loop() {
		n++
		l.Try("u"+strconv.Itoa(n), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), now, false)
	}
}
