package push

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
)

// gzipFrom is the length from which a packet is compressed, as clients expect.
const gzipFrom = 1024

// grain is what stamps are multiples of. A client in JavaScript repeats a number
// as a double, which holds only such ones of this size exactly.
const grain = 1 << 10

// nextStamp returns a stamp for a push: the wall clock in nanoseconds, or more,
// and more than any before.
func nextStamp(last, now int64) int64 { return max(last, now-1)/grain*grain + grain }

// packets builds datagrams; its buffers are used again, so one goroutine has it.
type packets struct {
	zipped bytes.Buffer
	zip    *gzip.Writer
}

func newPackets() *packets { return &packets{zip: gzip.NewWriter(nil)} }

// build returns the datagram that carries a list; it is good until the next call.
func (p *packets) build(list []byte, stamp int64) ([]byte, error) {
	plain, err := json.Marshal(struct {
		Type        string `json:"type"`
		Data        string `json:"data"`
		LastRefTime int64  `json:"lastRefTime"`
	}{"dom", string(list), stamp})
	if err != nil || len(plain) < gzipFrom {
		return plain, err
	}
	p.zipped.Reset()
	p.zip.Reset(&p.zipped)
	if _, err := p.zip.Write(plain); err != nil {
		return nil, err
	}
	if err := p.zip.Close(); err != nil {
		return nil, err
	}
	return p.zipped.Bytes(), nil
}
