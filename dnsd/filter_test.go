package dnsd_test

import (
	"bytes"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/musterhq/muster/dnsd"
)

// The system turns away what would be turned away here, and nothing else.
func TestFilterIsAdmit(t *testing.T) {
	filter, err := bpf.NewVM(dnsd.Admitted)
	if err != nil {
		t.Fatal(err)
	}
	for _, length := range []int{0, 1, 2, 3, 11, 12, 13, 512, 65507} {
		for flags := range 256 {
			packet := bytes.Repeat([]byte{0xff}, length)
			if length > 2 {
				packet[2] = byte(flags)
			}
			kept, err := filter.Run(append(make([]byte, 8), packet...))
			if err != nil {
				t.Fatal(err)
			}
			if want := dnsd.Admit(packet); (kept > 0) != want || want && kept < len(packet)+8 {
				t.Errorf("filter keeps %d octets of a packet of %d with flags %#x, admitted %t", kept, length+8, flags, want)
			}
		}
	}
}
