package cookie_test

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/musterhq/muster/internal/cookie"
)

// The vectors of the reference implementation: the key is 00 01 ... 0f, the
// message of line n the first n octets of 00 01 02 and on.
func TestSipHashFollowsTheReference(t *testing.T) {
	text, err := os.ReadFile("testdata/siphash24.txt")
	if err != nil {
		t.Fatal(err)
	}
	var key [16]byte
	var message [64]byte
	for i := range message {
		message[i] = byte(i)
	}
	copy(key[:], message[:])
	lines := strings.Fields(string(text))
	if len(lines) != len(message) {
		t.Fatalf("%d vectors, want %d", len(lines), len(message))
	}
	for n, want := range lines {
		got := binary.LittleEndian.AppendUint64(nil, cookie.SipHash(key, message[:n]))
		if hex.EncodeToString(got) != want {
			t.Errorf("SipHash of %d octets = %x, want %s", n, got, want)
		}
	}
}
