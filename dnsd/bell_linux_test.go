package dnsd

import (
	"testing"
	"time"
)

func TestBell(t *testing.T) {
	var b bell
	b.wait() // without one there is nothing to wait for
	b.open()
	for range 1000 {
		b.wait()
	}
	b.close()
	b.wait()
}

// Whoever goes on for long waits for the network, and begins anew.
func TestBreath(t *testing.T) {
	var b breath
	b.bell.open()
	defer b.bell.close()
	b.waited = clock()
	now := b.waited
	b.take(now + breathEvery)
	if b.waited != now {
		t.Error("the network was looked at too early")
	}
	b.take(now + breathEvery + time.Nanosecond)
	if b.waited <= now {
		t.Error("the network was not looked at")
	}
}
