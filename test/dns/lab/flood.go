package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sync/errgroup"
)

// In flight at a time are so many questions of each socket.
const (
	sockets = 4
	window  = 32
)

// Flood asks the server at address one question n times over UDP, several at a time,
// and hands each reply to got, one after the other. n is at most 65536 for each socket.
func Flood(ctx context.Context, address, name string, kind dnsmessage.Type, n int, got func(reply []byte) error) error {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for range sockets {
		g.Go(func() error {
			return flood(ctx, address, name, kind, n/sockets, func(reply []byte) error {
				mu.Lock()
				defer mu.Unlock()
				return got(reply)
			})
		})
	}
	return g.Wait()
}

// flood is the part of one socket. An answer may be lost, as any datagram: its
// question is asked again then, which says nothing about what it held.
func flood(ctx context.Context, address, name string, kind dnsmessage.Type, n int, got func([]byte) error) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "udp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	question, err := (&dnsmessage.Message{Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}}}).Pack()
	if err != nil {
		return err
	}
	// The size that RFC 9715 advises: root, OPT, 1232, no flags, no options.
	question = append(question, 0, 0, 41, 1232>>8, 1232&0xff, 0, 0, 0, 0, 0, 0)
	question[11] = 1
	ask := func(id uint16) error {
		question[0], question[1] = byte(id>>8), byte(id)
		_, err := c.Write(question)
		return err
	}
	pending, reply := make(map[uint16]bool, window), make([]byte, 4096)
	for asked, answered, lost := 0, 0, 0; answered < n; {
		for ; len(pending) < window && asked < n; asked++ {
			pending[uint16(asked)] = true
			if err := ask(uint16(asked)); err != nil {
				return err
			}
		}
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		size, err := c.Read(reply)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && lost < 5:
			lost++
			for id := range pending {
				if err := ask(id); err != nil {
					return err
				}
			}
			continue
		case err != nil:
			return fmt.Errorf("answer %d of %d: %w", answered, n, err)
		case size < 12 || !pending[uint16(reply[0])<<8|uint16(reply[1])]:
			continue
		}
		delete(pending, uint16(reply[0])<<8|uint16(reply[1]))
		answered++
		if err := got(reply[:size]); err != nil {
			return err
		}
	}
	return nil
}
