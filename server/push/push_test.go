package push_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/push"
)

func hosts(numbers ...string) (all []string) {
	for _, n := range numbers {
		all = append(all, "192.0.2."+n)
	}
	return all
}

func TestChange(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		w.register("orders", 1)
		client := subscriber("orders", 5000)
		client.Clusters = "a,B, a"
		start := time.Now()
		w.enrol(client)
		w.enrol(subscriber("others", 5001))
		wait(time.Second)
		sent := w.net.take(t)
		if len(sent) != 2 {
			t.Fatalf("%d datagrams to new subscribers, want one each", len(sent))
		}
		for _, d := range sent {
			if after := d.at.Sub(start); after < 40*time.Millisecond || after > 50*time.Millisecond {
				t.Errorf("told %v after it enrolled, want 40 to 50 ms", after)
			}
		}
		start = time.Now()
		w.register("orders", 2)
		wait(time.Second)
		sent = w.net.take(t)
		if len(sent) != 1 {
			t.Fatalf("%d datagrams after one change of one service, want one", len(sent))
		}
		d := sent[0]
		if after := d.at.Sub(start); after > 50*time.Millisecond {
			t.Errorf("told %v after the change, want 50 ms at most", after)
		}
		if d.to != client.Addr || d.zipped {
			t.Errorf("sent to %v, compressed %t, want %v, plain", d.to, d.zipped, client.Addr)
		}
		if diff := cmp.Diff(list{"orders", "a,B, a", hosts("1", "2"), ""}, d.list); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

func TestServiceThatComesAndGoes(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		w.greeted(subscriber("orders", 5000))
		w.register("orders", 1)
		wait(time.Second)
		if sent := w.net.take(t); len(sent) != 1 || len(sent[0].list.Hosts) != 1 {
			t.Errorf("told %+v when the service came, want one host", sent)
		}
		if _, err := w.store.Commit(t.Context(), registry.Write{Deletes: []registry.Key{record("orders", 1, "").RecordKey()}}); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		if sent := w.net.take(t); len(sent) != 1 || len(sent[0].list.Hosts) != 0 {
			t.Errorf("told %+v when the service went, want no host", sent)
		}
		if s := w.pusher.Stats(); s.Total != 3 || s.Empty != 2 {
			t.Errorf("Stats = %+v, want 3 in total, 2 empty", s)
		}
	})
}

func TestManyChanges(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		w.greeted(subscriber("orders", 5000))
		start := time.Now()
		for n := range 100 {
			w.register("orders", n)
			wait(3 * time.Millisecond)
		}
		last := time.Now().Add(-3 * time.Millisecond)
		wait(time.Second)
		sent := w.net.take(t)
		if least := int(last.Sub(start) / (50 * time.Millisecond)); len(sent) < least {
			t.Errorf("%d datagrams in %v, want at least %d", len(sent), last.Sub(start), least)
		}
		for i := 1; i < len(sent); i++ {
			if between := sent[i].at.Sub(sent[i-1].at); between < 40*time.Millisecond {
				t.Errorf("%v between two datagrams, want 40 ms at least", between)
			}
			if sent[i].stamp <= sent[i-1].stamp {
				t.Errorf("stamp %d after %d, want a later one", sent[i].stamp, sent[i-1].stamp)
			}
		}
		final := sent[len(sent)-1]
		if n := len(final.list.Hosts); n != 100 {
			t.Errorf("the last datagram has %d hosts, want 100", n)
		}
		if after := final.at.Sub(last); after > 50*time.Millisecond {
			t.Errorf("the last change was told after %v, want 50 ms at most", after)
		}
		w.net.deliver(final.to, stringAck(final.stamp))
		wait(25 * time.Second)
		if sent := w.net.take(t); len(sent) != 0 {
			t.Errorf("%d datagrams of overtaken content, want none", len(sent))
		}
		if s := w.pusher.Stats(); s.Total != s.Succeeded+s.Overtaken || s.Pending != 0 {
			t.Errorf("Stats = %+v, want all acknowledged or overtaken", s)
		}
	})
}

func TestSameContentIsRenderedOnce(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		for port := range uint16(30) {
			s := subscriber("orders", 5000+port)
			s.Clusters = []string{"", "a", "b"}[port%3]
			w.enrol(s)
		}
		wait(time.Second)
		w.net.take(t)
		w.rendered = 0
		w.register("orders", 1)
		wait(time.Second)
		if sent := w.net.take(t); len(sent) != 30 {
			t.Errorf("%d datagrams, want 30", len(sent))
		}
		if w.rendered != 3 {
			t.Errorf("rendered %d times, want 3", w.rendered)
		}
	})
}

func TestLapse(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		kept, lost := subscriber("orders", 5000), subscriber("orders", 5001)
		w.greeted(kept)
		w.greeted(lost)
		for range 5 {
			wait(9 * time.Second)
			w.enrol(kept)
		}
		if got, want := w.pusher.Subscribers(key("orders")), []push.Subscriber{kept}; !slices.Equal(got, want) {
			t.Errorf("Subscribers = %v, want %v", got, want)
		}
		if n := w.pusher.SubscriberCount(); n != 1 {
			t.Errorf("SubscriberCount = %d, want 1", n)
		}
		w.register("orders", 1)
		wait(time.Second)
		if sent := w.net.take(t); len(sent) != 1 || sent[0].to != kept.Addr {
			t.Errorf("sent %+v, want one datagram to %v", sent, kept.Addr)
		}
		wait(time.Minute)
		if kept := w.pusher.Kept(); kept.Rows+kept.Services+kept.Hosts+kept.Awaited != 0 {
			t.Errorf("kept %+v after a minute, want nothing", kept)
		}
		if got := w.pusher.Subscribers(key("orders")); len(got) != 0 {
			t.Errorf("Subscribers after a minute = %v, want none", got)
		}
	})
}

func TestLapseAmongChanges(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		w.enrol(subscriber("orders", 5000))
		end := time.Now().Add(30 * time.Second)
		wait(30*time.Second - 25*time.Millisecond)
		w.register("orders", 1)
		wait(10 * time.Millisecond)
		w.register("orders", 2) // to be told when the enrolment is over
		wait(time.Second)
		for _, d := range w.net.take(t) {
			if d.at.After(end) {
				t.Errorf("told %v after the enrolment was over", d.at.Sub(end))
			}
		}
		if kept := w.pusher.Kept(); kept.Rows+kept.Services+kept.Hosts+kept.Awaited != 0 {
			t.Errorf("kept %+v, want nothing", kept)
		}
		if s := w.pusher.Stats(); s.Total != 2 || s.Failed+s.Overtaken != 2 {
			t.Errorf("Stats = %+v, want two that were not acknowledged", s)
		}
	})
}

func TestHostThatAnswersNothing(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		silent, other := subscriber("orders", 5000), subscriber("orders", 5000)
		other.Addr = addrPort("10.0.0.2", 5000)
		flood := func(d time.Duration) (toSilent, toOther int, last datagram) {
			w.enrol(silent)
			w.enrol(other)
			for start := time.Now(); time.Since(start) < d; wait(45 * time.Millisecond) {
				w.register("orders", 1)
				wait(5 * time.Millisecond)
				for _, sent := range w.net.take(t) {
					if sent.to == other.Addr {
						toOther++
						w.net.deliver(sent.to, stringAck(sent.stamp))
					} else {
						toSilent++
						last = sent
					}
				}
			}
			return toSilent, toOther, last
		}
		for range 3 {
			flood(10 * time.Second)
		}
		toSilent, toOther, last := flood(20 * time.Second)
		if toSilent > 3 {
			t.Errorf("%d datagrams in 20 s to who answers none, want 3 at the most", toSilent)
		}
		if toOther < 390 {
			t.Errorf("%d datagrams of 400 to who answers", toOther)
		}
		w.net.deliver(silent.Addr, stringAck(last.stamp))
		flood(10 * time.Second) // the last mute ends
		w.enrol(silent)
		if toSilent, _, _ := flood(5 * time.Second); toSilent < 95 {
			t.Errorf("%d datagrams of 100 to who answered again", toSilent)
		}
	})
}

func TestSwitch(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		s := subscriber("orders", 5000)
		w.greeted(s)
		w.register("orders", 1)
		wait(time.Second)
		w.net.take(t)
		w.pusher.SetEnabled(false)
		w.register("orders", 2)
		wait(15 * time.Second)
		if sent := w.net.take(t); len(sent) != 0 {
			t.Errorf("%d datagrams while pushes are off, want none", len(sent))
		}
		if w.pusher.Enrol(s, s.Addr.Addr()) {
			t.Error("Enrol while pushes are off: true, want false")
		}
		w.pusher.SetEnabled(true)
		wait(time.Second)
		w.register("orders", 3)
		wait(time.Second)
		if sent := w.net.take(t); len(sent) != 1 {
			t.Errorf("%d datagrams after one change, pushes on again, want 1", len(sent))
		}
	})
}

func TestBounds(t *testing.T) {
	inWorld(t, push.Config{MaxSubscribers: 5, MaxPerAddr: 3}, func(w *world) {
		enrol := func(s push.Subscriber, ip string, want bool) {
			t.Helper()
			s.Addr = addrPort(ip, s.Addr.Port())
			if got := w.pusher.Enrol(s, s.Addr.Addr()); got != want {
				t.Errorf("Enrol at %v, of %d = %t, want %t", s.Addr, w.pusher.SubscriberCount(), got, want)
			}
		}
		for n := range uint16(3) {
			enrol(subscriber("orders", 5000+n), "10.0.0.1", true)
		}
		enrol(subscriber("orders", 5003), "10.0.0.1", false)
		enrol(subscriber("others", 5000), "10.0.0.1", false)
		enrol(subscriber("orders", 5000), "10.0.0.1", true) // renewed
		enrol(subscriber("orders", 5000), "10.0.0.2", true)
		enrol(subscriber("orders", 5000), "10.0.0.3", true)
		enrol(subscriber("orders", 5000), "10.0.0.4", false)
		wait(time.Minute)
		enrol(subscriber("orders", 5003), "10.0.0.1", true)
		enrol(subscriber("orders", 5000), "10.0.0.4", true)
	})
}

func TestNothingToTell(t *testing.T) {
	c := push.Config{Render: func(*registry.Snapshot, push.Topic) ([]byte, int) { return nil, 0 }}
	inWorld(t, c, func(w *world) {
		w.enrol(subscriber("orders", 5000))
		wait(time.Second)
		if s := w.pusher.Stats(); s != (push.Stats{}) {
			t.Errorf("Stats = %+v, want none", s)
		}
	})
}

func TestWriteThatFails(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		w.net.fail = errors.New("no route to host")
		w.enrol(subscriber("orders", 5000))
		wait(25 * time.Second)
		if s := w.pusher.Stats(); s.Total != 1 || s.Failed != 1 || s.Pending != 0 {
			t.Errorf("Stats = %+v, want one that failed", s)
		}
	})
}

func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, push.Config{})
		var none registry.View // shows nothing yet
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.pusher.Run(ctx, w.net, &none) }()
		w.enrol(subscriber("orders", 5000))
		wait(time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v when asked to end, want nil", err)
		}
		if sent := w.net.take(t); len(sent) != 0 {
			t.Errorf("sent %v before there is a snapshot, want nothing", sent)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, push.Config{})
		done := make(chan error)
		go func() { done <- w.pusher.Run(t.Context(), w.net, w.store.View()) }()
		synctest.Wait()
		w.net.Close()
		if err := <-done; err == nil {
			t.Error("Run = nil when its socket is gone, want an error")
		}
	})
}

func TestNewNeedsRender(t *testing.T) {
	if p, err := push.New(push.Config{}); err == nil {
		t.Errorf("New without Render = %v, nil, want an error", p)
	}
}
