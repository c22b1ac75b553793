package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/ipv4"
)

// Garbage comes from many sockets of one network, in which nobody else is.
const (
	sourceNetwork = "127.1.2."
	sources       = 64
)

// Garbage sends the server at address packets that make no sense until ctx ends, so many
// a second, or for 0 as fast as one thread can, and returns how many it has sent.
func Garbage(ctx context.Context, address string, rate int) (sent int64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := here(flooders()); err != nil {
		return 0, err
	}
	var conns []*ipv4.PacketConn
	for i := range sources {
		from := &net.UDPAddr{IP: net.ParseIP(fmt.Sprint(sourceNetwork, i+1))}
		c, err := (&net.Dialer{LocalAddr: from}).DialContext(ctx, "udp", address)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		conns = append(conns, ipv4.NewPacketConn(c.(*net.UDPConn)))
	}
	batches := garbage()
	began := time.Now()
	for n := 0; ctx.Err() == nil; n++ {
		if rate > 0 {
			early := time.Until(began.Add(time.Duration(sent) * time.Second / time.Duration(rate)))
			select {
			case <-time.After(early):
			case <-ctx.Done():
			}
		}
		// What the kernel does not take is lost, as anything on its way may be.
		k, err := conns[n%len(conns)].WriteBatch(batches[rand.IntN(len(batches))], 0)
		if err == nil {
			sent += int64(k)
		}
	}
	return sent, nil
}

// garbage are packets of random octets, and queries of which some octets are not what
// they were. Half of the former say that they are answers, which costs a server least.
func garbage() (batches [][]ipv4.Message) {
	rnd := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	query, err := Question("order-api.svc."+Zones[0]+".", dns.TypeA).Pack()
	if err != nil {
		panic(err) // it is the same every time
	}
	for range 256 {
		var batch []ipv4.Message
		for i := range 64 {
			p := make([]byte, 1+rnd.IntN(512))
			for j := range p {
				p[j] = byte(rnd.Uint32())
			}
			if i%2 == 0 {
				p = append(p[:0:0], query...)
				binary.BigEndian.PutUint16(p, uint16(rnd.Uint32()))
				for range rnd.IntN(4) {
					p[2+rnd.IntN(len(p)-2)] = byte(rnd.Uint32())
				}
			}
			batch = append(batch, ipv4.Message{Buffers: [][]byte{p}})
		}
		batches = append(batches, batch)
	}
	return batches
}
