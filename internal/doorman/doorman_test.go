package doorman_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/internal/doorman"
)

// door is a doorman in virtual time, and what became of who came.
type door struct {
	*doorman.Doorman

	t *testing.T
}

// guest is somebody who came.
type guest struct {
	leave func()
	err   error
	done  chan struct{}
}

func (d *door) comes() *guest {
	g := &guest{done: make(chan struct{})}
	go func() {
		defer close(g.done)
		g.leave, g.err = d.Enter(d.t.Context())
	}()
	synctest.Wait()
	return g
}

// is fails unless a guest is in, waits or was turned away.
func (d *door) is(g *guest, who, want string) {
	d.t.Helper()
	synctest.Wait()
	got := "waits"
	select {
	case <-g.done:
		got = "in"
		if errors.Is(g.err, doorman.ErrBusy) {
			got = "turned away"
		} else if g.err != nil {
			got = g.err.Error()
		}
	default:
	}
	if got != want {
		d.t.Errorf("%s: %s, want %s (%+v)", who, got, want, d.Stats())
	}
}

func inDoor(t *testing.T, c doorman.Config, test func(d *door)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(&door{doorman.New(c), t}) })
}

var config = doorman.Config{Seats: 1, Waiting: 2, Patience: time.Second, Brief: 100 * time.Millisecond}

func TestSeatsGoToWhoCameFirst(t *testing.T) {
	inDoor(t, config, func(d *door) {
		a, b, c := d.comes(), d.comes(), d.comes()
		d.is(a, "a", "in")
		d.is(b, "b", "waits")
		a.leave()
		d.is(b, "b", "in")
		d.is(c, "c", "waits")
		b.leave()
		d.is(c, "c", "in")
		c.leave()
		if s := d.Stats(); s != (doorman.Stats{}) {
			t.Errorf("Stats() of an empty house = %+v", s)
		}
	})
}

func TestOldestGivesWay(t *testing.T) {
	inDoor(t, config, func(d *door) {
		a, b, c, e := d.comes(), d.comes(), d.comes(), d.comes()
		d.is(b, "b, the oldest of three who wait", "turned away")
		d.is(c, "c", "waits")
		d.is(e, "e", "waits")
		a.leave()
		d.is(c, "c", "in")
		c.leave()
		d.is(e, "e", "in")
		e.leave()
		if s := d.Stats(); s.Refused != 1 || s.Taken != 0 || s.Waiting != 0 {
			t.Errorf("Stats() = %+v, want one refused, nobody there", s)
		}
	})
}

func TestNobodyWaitsForLong(t *testing.T) {
	inDoor(t, config, func(d *door) {
		a, b := d.comes(), d.comes()
		time.Sleep(time.Second + time.Millisecond)
		d.is(b, "b after the patience", "turned away")
		a.leave()
		if s := d.Stats(); s.Taken != 0 || s.Waiting != 0 || s.Refused != 1 {
			t.Errorf("Stats() = %+v", s)
		}
	})
}

// While some wait all the time, who has waited for long is passed over.
func TestStandingQueue(t *testing.T) {
	inDoor(t, doorman.Config{Seats: 1, Waiting: 100, Patience: time.Second, Brief: 100 * time.Millisecond}, func(d *door) {
		working := d.comes()
		var queue []*guest
		for range 20 {
			queue = append(queue, d.comes())
			time.Sleep(60 * time.Millisecond)
		}
		fresh := d.comes()
		working.leave()
		d.is(queue[0], "the oldest", "turned away")
		d.is(queue[15], "one of 300 ms", "turned away")
		d.is(queue[19], "one of 60 ms", "in")
		d.is(fresh, "the last one", "waits")
		queue[19].leave()
		d.is(fresh, "the last one", "in")
		fresh.leave()
	})
}

func TestWhoGivesUpTakesNoSeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := doorman.New(config)
		leave, err := d.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		if _, err := d.Enter(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Enter = %v, want canceled", err)
		}
		leave()
		if s := d.Stats(); s != (doorman.Stats{}) {
			t.Errorf("Stats() = %+v, want nothing", s)
		}
	})
}

func BenchmarkEnter(b *testing.B) {
	d := doorman.New(doorman.Config{Seats: 8, Waiting: 1000, Patience: time.Second, Brief: time.Second})
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if leave, err := d.Enter(b.Context()); err == nil {
				leave()
			}
		}
	})
}
