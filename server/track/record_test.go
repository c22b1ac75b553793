package track_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/musterhq/muster/server/track"
)

// Records as they are on disk: files of older servers hold them.
var records = map[string]string{
	"a poll": "01" + "000000e8d4a51000" + "000000e8d4a50fff" + "000000e8d4a50ffe" + strings.Repeat("ab", 16) + "02" + "02" + "00" + "00",
	"a rejection": "01" + "000000e8d4a51000" + "000000e8d4a50fff" + "000000e8d4a50ffe" + strings.Repeat("ab", 16) + "03" + "03" + "06" + "0462657461" +
		strings.Repeat("cd", 16) + "000000e8d4a51000" + "00" + "04706f7274",
	"a fetch": "01" + "000000e8d4a51000" + "000000e8d4a50fff" + "000000e8d4a50ffe" + strings.Repeat("00", 16) + "01" + "00" + "04" + "00" +
		strings.Repeat("cd", 16) + "000000e8d4a51000" + "0462657461" + "00",
}

func TestRecords(t *testing.T) {
	for name, text := range records {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := track.Recode(b); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: %x, %v, want %x", name, again, err, b)
		}
		for n := range b {
			if again, err := track.Recode(b[:n]); err == nil {
				t.Errorf("%s cut off at %d is %x, want an error", name, n, again)
			}
		}
		if _, err := track.Recode(append(b, 0)); err == nil {
			t.Errorf("%s with more behind it: no error", name)
		}
	}
}

// FuzzRecord: what can be read is written again so that it reads the same, and
// nothing panics.
func FuzzRecord(f *testing.F) {
	for _, text := range records {
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		once, err := track.Recode(b)
		if err != nil {
			return
		}
		again, err := track.Recode(once)
		if err != nil || !bytes.Equal(once, again) {
			t.Errorf("%x is written as %x, then %x, %v", b, once, again, err)
		}
	})
}

// FuzzKey: a key of five names is the same when it was turned around twice.
func FuzzKey(f *testing.F) {
	f.Add([]byte("public\x00DEFAULT_GROUP\x00d\x00c\x00"))
	f.Add([]byte("\x00\x00\x00\x00"))
	f.Add([]byte("a\x00b\x00c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		names, again, ok := track.ParseKey(b)
		if !ok {
			return
		}
		if want := strings.Join(names[:], "\x00") + "\x00"; want != string(b) || !bytes.Equal(again, b) {
			t.Errorf("%q = %q, again %q", b, names, again)
		}
	})
}
