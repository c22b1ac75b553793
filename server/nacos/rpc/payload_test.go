package rpc_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/musterhq/muster/server/nacos/rpc"
)

func TestPayload(t *testing.T) {
	// metadata {type 3, headers 7, clientIp 8}, body {type_url 1, value 2}, and fields that
	// nobody knows.
	in := "\x12\x24\x1a\x04Type\x3a\x0a\x0a\x03key\x12\x03val\x42\x09192.0.2.1\x3a\x03\x0a\x01b\x50\x07\x20\x01\x0a\x02??" + "\x1a\x09\x0a\x03url\x12\x02{}"
	got, err := rpc.ParsePayload([]byte(in))
	want := rpc.Payload{Type: "Type", Headers: map[string]string{"key": "val", "b": ""}, ClientIP: "192.0.2.1", Body: []byte("{}")}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("ParsePayload() = %v (-want +got):\n%s", err, diff)
	}
	for _, broken := range []string{"\x12", "\x12\x05\x1a", "\x12\x02\x1a\x09", "\xff", "\x12\x03\x3a\x01\xff", "\x1a\x01\x12"} {
		if p, err := rpc.ParsePayload([]byte(broken)); err == nil {
			t.Errorf("ParsePayload(%q) = %+v, want an error", broken, p)
		}
	}
}

// FuzzPayload holds that what is read is written so that it is read again.
func FuzzPayload(f *testing.F) {
	f.Add([]byte("\x12\x06\x1a\x04Type\x1a\x04\x12\x02{}"))
	f.Add([]byte("\x12\x10\x1a\x04Type\x3a\x08\x0a\x03key\x12\x01v\x1a\x00"))
	f.Add([]byte("\x12\x02\x18\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := rpc.ParsePayload(b)
		if err != nil {
			return
		}
		again, err := rpc.ParsePayload(p.Append(nil))
		if diff := cmp.Diff(p, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("ParsePayload(Append(%+v)) = %v (-want +got):\n%s", p, err, diff)
		}
	})
}
