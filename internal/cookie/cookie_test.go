package cookie_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/cookie"
)

// Secrets, clients and cookies of RFC 9018, appendix A.
var (
	first   = secret("e5e973e5a6b2a43f48e7dc849e37bfcf")
	older   = secret("dd3bdf9344b678b185a6f5cb60fca715")
	newer   = secret("445536bcd2513298075a5d379663c962")
	client  = netip.MustParseAddr("198.51.100.100")
	other   = netip.MustParseAddr("203.0.113.203")
	client6 = netip.MustParseAddr("2001:db8:220:1:59de:d0f4:8769:82b8")
)

const (
	learned  = "2464c4abcf10c957010000005cf79f111f8130c3eee29480"
	renewed  = "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"
	reserved = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5"
	rolled   = "22681ab97d52c298010000005cf7c57926556bd0934c72f8"
	made     = 1559731985 // when learned was made
)

func secret(s string) (k [16]byte) {
	copy(k[:], octets(s))
	return k
}

func octets(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestVectorsOfRFC9018(t *testing.T) {
	for _, c := range []struct {
		name   string
		jar    *cookie.Jar
		from   netip.Addr
		now    int64
		option string
		result cookie.Result
		answer string
	}{
		{"A.1: learning a new server cookie", cookie.New(first), client, made, learned[:16], cookie.ClientOnly, learned},
		{"A.2: learning a renewed one after forty minutes", cookie.New(first), client, 1559734385, learned, cookie.Good, renewed},
		{"A.3: reserved octets count when it is checked", cookie.New(first), other, 1559727985 + 3600, reserved, cookie.Good,
			"fc93fc62807ddb86010000005cf79d81"}, // up to the time stamp
		{"A.3: and are cleared in the next one", cookie.New(first), other, 1559734700, reserved, cookie.Bad, // nearly two hours old
			"fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"},
		{"A.4: made with the secret before this one", cookie.New(newer, older), client6, 1559741961, rolled, cookie.Good,
			"22681ab97d52c298010000005cf7c609a6bb79d16625507a"},
	} {
		now := time.Unix(c.now, 0)
		if got := c.jar.Check(octets(c.option), c.from, now); got != c.result {
			t.Errorf("%s: Check(%s) = %v, want %v", c.name, c.option, got, c.result)
		}
		got := c.jar.Append(nil, octets(c.option), c.from, now)
		if !bytes.HasPrefix(got, octets(c.answer)) || len(got) != cookie.Len {
			t.Errorf("%s: Append(%s) = %x, want %s", c.name, c.option, got, c.answer)
		}
	}
}

func TestCheck(t *testing.T) {
	now := time.Unix(made, 0)
	flip := func(i int) string {
		b := octets(learned)
		b[i] ^= 1
		return hex.EncodeToString(b)
	}
	for _, c := range []struct {
		name   string
		option string
		from   netip.Addr
		after  time.Duration
		want   cookie.Result
	}{
		{"no octets", "", client, 0, cookie.Malformed},
		{"seven octets", learned[:14], client, 0, cookie.Malformed},
		{"a server part of seven octets", learned[:30], client, 0, cookie.Malformed},
		{"a server part of eight octets", learned[:32], client, 0, cookie.Bad},
		{"a server part of 32 octets", learned + learned[:32], client, 0, cookie.Bad},
		{"a server part of 33 octets", learned + learned[:34], client, 0, cookie.Malformed},
		{"at once", learned, client, 0, cookie.Good},
		{"through a socket of both families", learned, netip.MustParseAddr("::ffff:198.51.100.100"), 0, cookie.Good},
		{"from another address", learned, other, 0, cookie.Bad},
		{"another client part", flip(0), client, 0, cookie.Bad},
		{"another version", flip(8), client, 0, cookie.Bad},
		{"reserved octets changed", flip(9), client, 0, cookie.Bad},
		{"another time", flip(15), client, 0, cookie.Bad},
		{"another hash", flip(23), client, 0, cookie.Bad},
		{"an hour old", learned, client, time.Hour, cookie.Good},
		{"over an hour old", learned, client, time.Hour + time.Second, cookie.Bad},
		{"five minutes ahead", learned, client, -5 * time.Minute, cookie.Good},
		{"over five minutes ahead", learned, client, -5*time.Minute - time.Second, cookie.Bad},
		{"ahead by half of all time", learned, client, 1 << 31 * time.Second, cookie.Bad},
	} {
		if got := cookie.New(first).Check(octets(c.option), c.from, now.Add(c.after)); got != c.want {
			t.Errorf("%s: Check(%s) = %v, want %v", c.name, c.option, got, c.want)
		}
	}
}

func TestAppend(t *testing.T) {
	now := time.Unix(made, 0)
	for _, c := range []struct {
		name   string
		jar    *cookie.Jar
		option string
		after  time.Duration
		same   bool // what came is what goes back
		length int
	}{
		{"half an hour old", cookie.New(first), learned, 30 * time.Minute, true, cookie.Len},
		{"over half an hour old", cookie.New(first), learned, 30*time.Minute + time.Second, false, cookie.Len},
		{"a little ahead", cookie.New(first), learned, -time.Minute, true, cookie.Len},
		{"a secret that is coming", cookie.New(first, newer), learned, 0, true, cookie.Len},
		{"a secret that is going", cookie.New(newer, first), learned, 0, false, cookie.Len},
		{"a secret that is gone", cookie.New(newer), learned, 0, false, cookie.Len},
		{"a server part of another kind", cookie.New(first), learned[:32], 0, false, cookie.Len},
		{"malformed", cookie.New(first), learned[:14], 0, false, 0},
		{"no secret", cookie.New(), learned, 0, false, 0},
	} {
		at := now.Add(c.after)
		got := c.jar.Append([]byte("x"), octets(c.option), client, at)
		if got = bytes.TrimPrefix(got, []byte("x")); len(got) != c.length || bytes.Equal(got, octets(c.option)) != c.same {
			t.Errorf("%s: Append(%s) = %x, want the same: %v, %d octets", c.name, c.option, got, c.same, c.length)
		}
		if c.length > 0 && c.jar.Check(got, client, at) != cookie.Good {
			t.Errorf("%s: Append(%s) = %x, which is not good", c.name, c.option, got)
		}
	}
}

// The time stamp has 32 bits, and cookies must outlive the day it wraps around.
func TestCookiesOutliveTheEndOfTheTimeStamp(t *testing.T) {
	jar, end := cookie.New(first), time.Unix(1<<32, 0)
	option := jar.Append(nil, octets(learned[:16]), client, end.Add(-time.Minute))
	if got := jar.Check(option, client, end.Add(time.Minute)); got != cookie.Good {
		t.Errorf("Check(%x) across the end = %v, want Good", option, got)
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	jar, option, now := cookie.New(newer, first), octets(learned), time.Unix(made, 0)
	buf := make([]byte, 0, cookie.Len)
	if n := testing.AllocsPerRun(100, func() {
		jar.Check(option, client, now)
		jar.Append(buf, option, client, now)
	}); n != 0 {
		t.Errorf("Check and Append allocate %v times, want 0", n)
	}
}

// Whatever option comes in, what is answered is a good cookie for its client
// part, or nothing to what is malformed.
func FuzzJar(f *testing.F) {
	for _, s := range []string{"", learned, renewed, reserved, rolled, learned[:16], learned[:30], learned + learned} {
		f.Add(octets(s), client.AsSlice())
		f.Add(octets(s), client6.AsSlice())
	}
	jar, now := cookie.New(newer, first), time.Unix(made, 0)
	f.Fuzz(func(t *testing.T, option, from []byte) {
		addr, _ := netip.AddrFromSlice(from)
		result := jar.Check(option, addr, now)
		got := jar.Append(nil, option, addr, now)
		switch {
		case result == cookie.Malformed && len(got) == 0:
		case result == cookie.Malformed || !bytes.Equal(got[:cookie.ClientLen], option[:cookie.ClientLen]) ||
			jar.Check(got, addr, now) != cookie.Good:
			t.Errorf("Append(%x) = %x after %v", option, got, result)
		}
	})
}

func BenchmarkJar(b *testing.B) {
	jar, option, now := cookie.New(first), octets(learned), time.Unix(made, 0)
	b.Run("Check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			jar.Check(option, client, now)
		}
	})
	b.Run("Append", func(b *testing.B) {
		buf := make([]byte, 0, cookie.Len)
		b.ReportAllocs()
		for b.Loop() {
			jar.Append(buf, option, client, now.Add(31*time.Minute))
		}
	})
}
