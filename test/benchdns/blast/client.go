package blast

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// patience is after how long a question is lost.
	patience = time.Second
	// look is how often to look for lost questions.
	look = 20 * time.Millisecond
	// drain is how long to wait for the last answers while none comes.
	drain = 100 * time.Millisecond
)

// client is one thread of a load with its sockets.
type client struct {
	load      Load
	sockets   []*socket
	epoll     int
	questions int // index of the next one
	turn      int // of sockets, in an open loop
	began     time.Time
	result    Result
}

func newClient(l Load, i int) (c *client, err error) {
	c = &client{load: l, questions: i * len(l.Questions) / len(l.CPUs)}
	if c.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	var to unix.Sockaddr = &unix.SockaddrInet6{Port: int(l.To.Port()), Addr: l.To.Addr().As16()}
	if l.To.Addr().Is4() {
		to = &unix.SockaddrInet4{Port: int(l.To.Port()), Addr: l.To.Addr().As4()}
	}
	pieces := 0
	if l.Rate > 0 {
		pieces = len(l.Questions[0])
	}
	for n := range l.Sockets / len(l.CPUs) {
		s, err := newSocket(to, pieces)
		if err != nil {
			return nil, fmt.Errorf("socket to %s: %w", l.To, err)
		}
		c.sockets = append(c.sockets, s)
		if err := unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(n)}); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *client) close() {
	for _, s := range c.sockets {
		unix.Close(s.fd)
	}
	unix.Close(c.epoll)
}

// now is the time since the load began.
func (c *client) now() time.Duration { return time.Since(c.began) }

// clock is the time that the kernel stamps packets with.
func clock() int64 { return time.Now().UnixNano() }

func (c *client) question() []byte {
	q := c.load.Questions[c.questions]
	if c.questions++; c.questions == len(c.load.Questions) {
		c.questions = 0
	}
	return q
}

func (c *client) answered(reply []byte, took time.Duration) {
	c.result.Answered++
	c.result.Latency.Count(took, 1)
	if !c.load.Right(reply) {
		c.result.Wrong++
	}
}

func (c *client) run(ctx context.Context, began time.Time) error {
	c.began = began
	c.result.PerSecond = make([]int, int(c.load.Length/time.Second)+1)
	ask := c.fill
	if c.load.Rate > 0 {
		ask = c.due
	}
	looked := time.Duration(0)
	for {
		now := c.now()
		if now >= c.load.Length || ctx.Err() != nil {
			break
		}
		if now-looked >= look {
			looked = now
			c.expire(clock() - int64(patience))
		}
		rest, err := ask(now)
		if err != nil {
			return err
		}
		if _, err := c.receive(rest); err != nil {
			return err
		}
	}
	for c.outstanding() > 0 && ctx.Err() == nil {
		n, err := c.receive(drain)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	c.expire(math.MaxInt64)
	return nil
}

// fill asks as much as may be outstanding, and returns how long to wait for answers.
func (c *client) fill(time.Duration) (rest time.Duration, err error) {
	for _, s := range c.sockets {
		for want := c.load.Outstanding/c.load.Sockets - s.outstanding; want > 0; {
			n, err := s.ask(min(want, batch), clock(), c.question)
			if err != nil {
				return 0, err
			}
			if n == 0 {
				break
			}
			c.result.Sent += n
			want -= n
		}
	}
	return look, nil
}

// due asks what should have been asked by now, and returns how long nothing is due.
func (c *client) due(now time.Duration) (rest time.Duration, err error) {
	rate := float64(c.load.Rate) / float64(len(c.load.CPUs))
	together := min(max(int(rate*togetherIn.Seconds()), 1), burst)
	if want := int(now.Seconds()*rate) - c.result.Sent; want < together {
		return time.Duration(float64(time.Second) / rate), nil
	}
	c.turn++
	n, err := c.sockets[c.turn%len(c.sockets)].ask(together, clock(), c.question)
	c.result.Sent += n
	return 0, err
}

// Questions of an open loop leave one socket together that are due within so long, so
// many at the most.
const (
	togetherIn = 100 * time.Microsecond
	burst      = 32
)

// receive waits for answers, at most for so long, and takes a batch from each socket
// that has some. It returns how many it took.
func (c *client) receive(wait time.Duration) (int, error) {
	var events [64]unix.EpollEvent
	ready, err := unix.EpollWait(c.epoll, events[:], int(wait.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return 0, fmt.Errorf("wait: %w", err)
	}
	before, packets := c.result.Answered, 0
	for _, e := range events[:max(ready, 0)] {
		n, err := c.sockets[e.Fd].take(c.answered)
		if err != nil {
			return packets, err
		}
		packets += n
	}
	if got := c.result.Answered - before; got > 0 {
		c.result.Took = c.now()
		c.result.PerSecond[min(int(c.result.Took/time.Second), len(c.result.PerSecond)-1)] += got
	}
	return packets, nil
}

func (c *client) outstanding() (n int) {
	for _, s := range c.sockets {
		n += s.outstanding
	}
	return n
}

// expire counts what was asked before a time and not answered as lost.
func (c *client) expire(before int64) {
	for _, s := range c.sockets {
		c.result.Lost += s.expire(before)
	}
}
