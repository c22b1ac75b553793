package push_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/push"
)

func addrPort(ip string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), port)
}

func TestAck(t *testing.T) {
	// As JSON.stringify(JSON.parse(...)) has it: the shortest digits of the double,
	// filled up with zeros.
	double := func(stamp int64) string {
		return strconv.FormatFloat(mantissa(stamp), 'f', -1, 64)
	}
	tests := []struct {
		name string
		from netip.AddrPort
		text func(stamp int64) string
		want bool
	}{
		{"a string", addrPort("10.0.0.1", 5000), stringAck, true},
		{"a string, the socket is dual-stack", addrPort("::ffff:10.0.0.1", 5000), stringAck, true},
		{"a number", addrPort("10.0.0.1", 5000), func(stamp int64) string {
			return fmt.Sprintf(`{"type":"push-ack","lastRefTime":%d,"data":""}`, stamp)
		}, true},
		{"a number that was a double", addrPort("10.0.0.1", 5000), func(stamp int64) string {
			return fmt.Sprintf(`{"type":"push-ack","lastRefTime":%s,"data":""}`, double(stamp))
		}, true},
		{"another stamp", addrPort("10.0.0.1", 5000), func(stamp int64) string { return stringAck(stamp + 1) }, false},
		{"another port", addrPort("10.0.0.1", 5001), stringAck, false},
		{"a stranger", addrPort("10.0.0.2", 5000), stringAck, false},
		{"another type", addrPort("10.0.0.1", 5000), func(stamp int64) string {
			return strings.Replace(stringAck(stamp), "push-ack", "unknow-ack", 1)
		}, false},
		{"garbage", addrPort("10.0.0.1", 5000), func(int64) string { return "\x1f\x8b\x00{" }, false},
		{"nothing", addrPort("10.0.0.1", 5000), func(int64) string { return "" }, false},
		{"a huge one", addrPort("10.0.0.1", 5000), func(stamp int64) string {
			return stringAck(stamp) + strings.Repeat(" ", 60_000)
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, push.Config{}, func(w *world) {
				client := subscriber("orders", 5000)
				w.enrol(client)
				start := time.Now()
				wait(time.Second)
				sent := w.net.take(t)
				if len(sent) != 1 {
					t.Fatalf("%d datagrams, want 1", len(sent))
				}
				w.net.deliver(test.from, test.text(sent[0].stamp))
				wait(9 * time.Second)
				w.enrol(client)
				wait(2 * time.Second)
				again := w.net.take(t)
				if test.want {
					if len(again) != 0 {
						t.Errorf("%d datagrams after the acknowledgement, want none", len(again))
					}
					if s := w.pusher.Stats(); s.Succeeded != 1 || s.Pending != 0 || s.Average != s.Max || s.Max < 900*time.Millisecond || s.Max > time.Second {
						t.Errorf("Stats = %+v, want one acknowledged within a second", s)
					}
					return
				}
				if len(again) != 1 || again[0].stamp != sent[0].stamp {
					t.Fatalf("sent %+v without an acknowledgement, want the first once more", again)
				}
				if after := again[0].at.Sub(start); after < 10*time.Second || after > 10*time.Second+100*time.Millisecond {
					t.Errorf("sent again after %v, want 10 s", after)
				}
				if s := w.pusher.Stats(); s.Pending != 1 || s.Failed != 0 {
					t.Errorf("Stats = %+v, want one pending", s)
				}
				wait(18 * time.Second)
				w.enrol(client)
				wait(18 * time.Second)
				if sent := w.net.take(t); len(sent) != 0 {
					t.Errorf("sent %+v for the third time, want nothing", sent)
				}
				if s := w.pusher.Stats(); s.Total != 1 || s.Failed != 1 || s.Pending != 0 {
					t.Errorf("Stats = %+v, want one that failed", s)
				}
			})
		})
	}
}

// mantissa is what a client holds of a stamp that keeps numbers as doubles.
func mantissa(stamp int64) float64 { return float64(stamp) }

func TestRepeatedPushIsNewAndAcknowledged(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		client := subscriber("orders", 5000)
		w.enrol(client)
		wait(10*time.Second + 100*time.Millisecond)
		sent := w.net.take(t)
		if len(sent) != 2 {
			t.Fatalf("%d datagrams, want 2", len(sent))
		}
		w.net.deliver(client.Addr, stringAck(sent[1].stamp))
		w.net.deliver(client.Addr, stringAck(sent[0].stamp)) // late, and the same
		if s := w.pusher.Stats(); s.Total != 1 || s.Succeeded != 1 || s.Pending != 0 {
			t.Errorf("Stats = %+v, want one acknowledged", s)
		}
		w.pusher.ResetStats()
		if s := w.pusher.Stats(); s != (push.Stats{}) {
			t.Errorf("Stats after a reset = %+v, want none", s)
		}
	})
}

func TestAckWhileThePushIsRenderedAgain(t *testing.T) {
	var w *world
	renders := 0
	c := push.Config{Render: func(s *registry.Snapshot, topic push.Topic) ([]byte, int) {
		if renders++; renders == 2 {
			client := subscriber("orders", 5000).Addr
			first := w.net.take(w.t)[0]
			w.net.in <- datagram{to: client, raw: []byte(stringAck(first.stamp))}
			w.net.in <- datagram{to: client} // taken when the one before is done with
		}
		return render(s, topic)
	}}
	inWorld(t, c, func(is *world) {
		w = is
		w.enrol(subscriber("orders", 5000))
		wait(25 * time.Second)
		if sent := w.net.take(t); renders != 2 || len(sent) != 0 {
			t.Errorf("rendered %d times, sent %+v, want twice and nothing", renders, sent)
		}
		if s := w.pusher.Stats(); s.Total != 1 || s.Succeeded != 1 {
			t.Errorf("Stats = %+v, want one acknowledged", s)
		}
	})
}

func TestOvertakenPushIsNotRepeated(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		client := subscriber("orders", 5000)
		w.enrol(client)
		wait(5 * time.Second)
		w.register("orders", 1)
		wait(7 * time.Second)
		sent := w.net.take(t)
		if len(sent) != 2 {
			t.Fatalf("%d datagrams within 12 s, want 2: the first has been overtaken", len(sent))
		}
		w.net.deliver(client.Addr, stringAck(sent[0].stamp))
		if s := w.pusher.Stats(); s.Succeeded != 0 || s.Overtaken != 1 || s.Pending != 1 {
			t.Errorf("Stats = %+v, want one overtaken, one pending", s)
		}
		wait(4 * time.Second)
		if sent := w.net.take(t); len(sent) != 1 || len(sent[0].list.Hosts) != 1 {
			t.Errorf("sent %+v, want the second once more", sent)
		}
	})
}

func TestStamps(t *testing.T) {
	inWorld(t, push.Config{}, func(w *world) {
		var last int64
		for n := range 50 {
			w.enrol(subscriber(fmt.Sprintf("service-%d", n), 5000)) // all told at one moment
		}
		wait(time.Second)
		for _, d := range w.net.take(t) {
			if d.stamp <= last || d.stamp < d.at.UnixNano() {
				t.Errorf("stamp %d at %d after %d, want a later one, not below the clock", d.stamp, d.at.UnixNano(), last)
			}
			if d.stamp%1024 != 0 {
				t.Errorf("stamp %d, want a multiple of 1024, which a double can hold", d.stamp)
			}
			last = d.stamp
		}
	})
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	inWorld(t, push.Config{Registerer: reg}, func(w *world) {
		w.greeted(subscriber("orders", 5000))
		w.net.deliver(addrPort("10.0.0.1", 5000), "who are you?")
		w.pusher.Enrol(push.Subscriber{Topic: push.Topic{Agent: "curl/8"}, Addr: addrPort("10.0.0.1", 5000)}, netip.MustParseAddr("10.0.0.1"))
		w.pusher.ResetStats()
		want := `
# HELP muster_push_acked_total Those that were acknowledged.
# TYPE muster_push_acked_total counter
muster_push_acked_total 1
# HELP muster_push_refused_total Clients that were not enrolled, by reason: agent (or pushes are off), address, long (a text), full.
# TYPE muster_push_refused_total counter
muster_push_refused_total{reason="address"} 0
muster_push_refused_total{reason="agent"} 1
muster_push_refused_total{reason="full"} 0
muster_push_refused_total{reason="long"} 0
# HELP muster_push_strays_total Datagrams that acknowledged no push that waited for it.
# TYPE muster_push_strays_total counter
muster_push_strays_total 1
# HELP muster_push_subscribers Subscribers that are told of changes, one for each service and client.
# TYPE muster_push_subscribers gauge
muster_push_subscribers 1
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "muster_push_acked_total", "muster_push_refused_total",
			"muster_push_strays_total", "muster_push_subscribers"); err != nil {
			t.Error(err)
		}
		if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
		if _, err := push.New(push.Config{Render: render, Registerer: reg}); err == nil {
			t.Error("New with metrics that are registered: nil, want an error")
		}
	})
}

func FuzzParseAck(f *testing.F) {
	for _, seed := range []string{
		stringAck(1700000000123456512), `{"type":"push-ack","lastRefTime":1700000000123456800,"data":""}`,
		`{"type":"push-ack","lastRefTime":1e400}`, `{"type":"push-ack","lastRefTime":-1}`, `{"type":"push-ack","lastRefTime":9223372036854775807}`,
		`{"type":"push-ack","lastRefTime":""}`, `{"type":"push-ack","lastRefTime":"9223372036854775808"}`, `{"type":"push-ack","lastRefTime":null}`,
		`{"type":"push-ack","lastRefTime":{"a":[]}}`, `{"type":"push-ack"}`, `{"type":"dump-ack","lastRefTime":"1","data":"{}"}`,
		`[]`, `"`, ``, `{`, "\x00", `{"TYPE":"push-ack","lastreftime":"5"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		stamp, ok := push.ParseAck(datagram)
		if ok != (stamp > 0) {
			t.Errorf("ParseAck(%q) = %d, %t, want a stamp if and only if it is one", datagram, stamp, ok)
		}
		if !ok {
			return
		}
		if again, ok := push.ParseAck([]byte(stringAck(stamp))); !ok || again != stamp {
			t.Errorf("ParseAck of an acknowledgement of %d = %d, %t", stamp, again, ok)
		}
	})
}
