package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Latencies are how long the answers to a client took. Lost are questions without.
type Latencies struct {
	P50, P99, Max time.Duration
	Asked, Lost   int
}

func (l Latencies) String() string {
	return fmt.Sprintf("p50 %v, p99 %v, most %v, %d of %d lost", l.P50.Round(time.Microsecond), l.P99.Round(time.Microsecond),
		l.Max.Round(time.Microsecond), l.Lost, l.Asked)
}

// Steady asks the server at address one question again and again over UDP from one
// socket, so many times a second whatever the answers do, and demands of each that
// right says so. n is at most 65536.
//
// An answer counts from before its question is sent until the kernel has it for the
// client: how soon the client is woken up is not the server's doing.
func Steady(ctx context.Context, address string, question []byte, rate, n int, right func(reply []byte) error) (Latencies, error) {
	c, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}}).DialContext(ctx, "udp", address)
	if err != nil {
		return Latencies{}, err
	}
	defer c.Close()
	raw, err := c.(*net.UDPConn).File() // it blocks the thread instead of the goroutine
	if err != nil {
		return Latencies{}, err
	}
	defer raw.Close()
	fd := int(raw.Fd())
	// The receiver looks up from time to time whether it should end.
	if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000})); err != nil {
		return Latencies{}, err
	}
	asked := make([]atomic.Int64, n) // when, in nanoseconds of the clock of the kernel's stamps
	took := make([]time.Duration, n)
	var over atomic.Bool
	var g errgroup.Group
	g.Go(func() error { return receive(fd, asked, took, &over, right) })
	g.Go(func() error {
		defer over.Store(true)
		return send(fd, question, rate, asked)
	})
	if err := g.Wait(); err != nil {
		return Latencies{}, err
	}
	return summary(took), nil
}

// send sends all questions by the clock. One that is late is followed at once by the
// next.
func send(fd int, question []byte, rate int, asked []atomic.Int64) error {
	runtime.LockOSThread() // for good: the thread is bound to processors, and ends with its goroutine
	if err := here(others()); err != nil {
		return err
	}
	question = slices.Clone(question)
	began := time.Now()
	for i := range asked {
		if early := time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(rate))); early > 0 {
			rest := unix.NsecToTimespec(int64(early))
			_ = unix.Nanosleep(&rest, nil) // a signal makes it early by a little
		}
		question[0], question[1] = byte(i>>8), byte(i)
		asked[i].Store(time.Now().UnixNano())
		if err := unix.Send(fd, question, 0); err != nil {
			return fmt.Errorf("question %d: %w", i, err)
		}
	}
	return nil
}

// receive takes answers until a while after the last question.
func receive(fd int, asked []atomic.Int64, took []time.Duration, over *atomic.Bool, right func([]byte) error) error {
	runtime.LockOSThread() // as in send
	if err := here(others()); err != nil {
		return err
	}
	reply, control := make([]byte, 4096), make([]byte, 128)
	for idle := 0; idle < 5; {
		n, controls, _, _, err := unix.Recvmsg(fd, reply, control, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			if over.Load() {
				idle++
			}
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n < 12:
			return fmt.Errorf("an answer of %d octets", n)
		}
		id := int(reply[0])<<8 | int(reply[1])
		if id >= len(asked) || asked[id].Load() == 0 || took[id] != 0 {
			return fmt.Errorf("an answer to %d, which was not asked, or was answered before", id)
		}
		stamp, err := stampOf(control[:controls])
		if err != nil {
			return err
		}
		took[id] = time.Duration(max(1, stamp-asked[id].Load()))
		if err := right(reply[:n]); err != nil {
			return fmt.Errorf("answer to question %d: %w", id, err)
		}
	}
	return nil
}

// stampOf returns when the kernel took a packet in.
func stampOf(control []byte) (int64, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0, err
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) == 16 {
			return int64(binary.NativeEndian.Uint64(m.Data))*int64(time.Second) + int64(binary.NativeEndian.Uint64(m.Data[8:])), nil
		}
	}
	return 0, errors.New("a packet has no time")
}

func summary(took []time.Duration) Latencies {
	l := Latencies{Asked: len(took)}
	slices.Sort(took)
	for len(took) > 0 && took[0] == 0 {
		took = took[1:]
		l.Lost++
	}
	if n := len(took); n > 0 {
		l.P50, l.P99, l.Max = took[n/2], took[n*99/100], took[n-1]
	}
	return l
}
