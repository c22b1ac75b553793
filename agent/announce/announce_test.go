package announce_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/agent/announce"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// server answers an agent's calls in virtual time.
type server struct {
	mu    sync.Mutex
	sets  []time.Time     // when a set came; under mu
	last  api.AgentSet    // under mu
	beats []time.Time     // under mu
	away  bool            // under mu
	taken bool            // another one has the id; under mu
	beat  api.AgentAnswer // under mu
	set   api.AgentAnswer // under mu
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var answer any
	status := http.StatusOK
	switch isSet := r.Method == http.MethodPut; {
	case isSet:
		s.sets = append(s.sets, time.Now())
		s.last = api.AgentSet{}
		if err := json.Unmarshal(body, &s.last); err != nil {
			return nil, err
		}
		answer = s.set
	default:
		s.beats = append(s.beats, time.Now())
		answer = s.beat
	}
	if s.away {
		return nil, errors.New("away")
	}
	if s.taken && r.Method == http.MethodPut {
		status = http.StatusConflict
		answer = api.Problem{Status: status, Detail: "agent a runs elsewhere", Errors: []api.ProblemField{{Location: api.FieldIncarnation}}}
	}
	b, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(b))), Request: r}, nil
}

// with changes what s answers, and forgets what it was asked.
func (s *server) with(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.sets, s.beats = nil, nil
}

// asked returns when sets and beats came since.
func (s *server) asked() (sets, beats []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sets), slices.Clone(s.beats)
}

// declared returns the last set that came.
func (s *server) declared() api.AgentSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// announcing runs an Announcer of one instance against s until the returned
// function is called.
func announcing(t *testing.T, s *server, dir string) (a *announce.Announcer, stop func()) {
	t.Helper()
	c, err := client.New([]string{"http://server"}, client.Config{Rounds: 1, Transport: s})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	r := roll.New(log)
	k := roll.Key{Namespace: "public", Group: "DEFAULT_GROUP", Service: "pay", Address: "192.0.2.1", Port: 80}
	r.Declare(map[roll.Key]roll.Member{k: {Instance: api.AgentInstance{Namespace: k.Namespace, Group: k.Group, Service: k.Service, Address: k.Address, Port: k.Port}}})
	a = announce.New(announce.Config{Client: c, Roll: r, Dir: dir, Logger: log})
	a.Load("a")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := a.Run(ctx, "a"); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	return a, func() { cancel(); wg.Wait(); c.Close() }
}

// pauses returns the shortest and the longest time between calls.
func pauses(calls []time.Time) (least, most time.Duration) {
	for i := 1; i < len(calls); i++ {
		d := calls[i].Sub(calls[i-1])
		if i == 1 || d < least {
			least = d
		}
		most = max(most, d)
	}
	return least, most
}

func TestBeatsAndTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		a, stop := announcing(t, s, t.TempDir())
		defer stop()
		time.Sleep(time.Minute)
		sets, beats := s.asked()
		if least, most := pauses(beats); len(sets) != 1 || len(beats) < 11 || least < 4500*time.Millisecond || most > 5*time.Second || least == most {
			t.Errorf("%d sets, then %d beats %v to %v apart, want 1, and beats 4.5 s to 5 s apart, not all alike", len(sets), len(beats), least, most)
		}
		s.with(func() { s.away = true })
		time.Sleep(time.Minute)
		_, beats = s.asked()
		if least, most := pauses(beats); len(beats) < 20 || least < 125*time.Millisecond || most > 3*time.Second || least == most {
			t.Errorf("%d tries %v to %v apart, want 20 and more, 125 ms to 3 s apart", len(beats), least, most)
		}
		if a.Status().Error == "" {
			t.Error("the status says nothing of a server that is away")
		}
		s.with(func() { s.away = false })
		time.Sleep(12 * time.Second)
		if sets, beats = s.asked(); len(sets) != 0 || len(beats) < 2 || a.Status().Error != "" {
			t.Errorf("once the server is back: %d sets, %d beats, error %q, want beats alone", len(sets), len(beats), a.Status().Error)
		}
	})
}

// What was refused is sent again in a while, also by the run after; what stands by
// is sent when the server asks for it.
func TestRefusedIsSentAgain(t *testing.T) {
	for _, standby := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, dir := &server{}, t.TempDir()
			s.set.Rejected = []api.Rejected{{Reason: "no", Standby: standby}}
			want := 2
			if standby {
				want = 0
			}
			for run := range 2 {
				a, stop := announcing(t, s, dir)
				time.Sleep(time.Second)
				s.with(func() {})
				time.Sleep(70 * time.Second)
				if sets, beats := s.asked(); len(sets) != want || len(beats) < 8 {
					t.Errorf("standby %v, run %d: %d sets, %d beats in 70 s, want %d sets", standby, run, len(sets), len(beats), want)
				}
				k := roll.Key{Namespace: "public", Group: "DEFAULT_GROUP", Service: "pay", Address: "192.0.2.1", Port: 80}
				if reason, by := a.Refused(k); reason != "no" || by != standby {
					t.Errorf("Refused = %q, %v, want no, %v", reason, by, standby)
				}
				stop()
			}
			_, stop := announcing(t, s, dir)
			defer stop()
			time.Sleep(time.Second)
			s.with(func() { s.set.Rejected, s.beat.Resync = nil, true })
			time.Sleep(6 * time.Second)
			if sets, _ := s.asked(); len(sets) == 0 {
				t.Error("no set though the server asks for it")
			}
		})
	}
}

// What a server says of how long to wait is bounded.
func TestHoldIsBounded(t *testing.T) {
	for said, want := range map[int64]time.Duration{0: 0, -1: 0, 5000: 5 * time.Second, 1 << 40: 10 * time.Minute, math.MaxInt64: 10 * time.Minute, math.MinInt64: 0} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{set: api.AgentAnswer{Hold: said}}
			a, stop := announcing(t, s, t.TempDir())
			defer stop()
			time.Sleep(time.Second)
			if got := a.Status().Hold; got != want {
				t.Errorf("Hold = %v of %d ms, want %v", got, said, want)
			}
		})
	}
}

// Who was superseded does not claim its id back, and waits until it is taken. A
// server that is away meanwhile does not end that.
func TestSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		a, stop := announcing(t, s, t.TempDir())
		defer stop()
		time.Sleep(time.Second)
		if first := s.declared(); !first.Exclusive || !first.Claim {
			t.Errorf("first set = %+v, want it to claim", first)
		}
		s.with(func() { s.taken, s.beat = true, api.AgentAnswer{Resync: true, Superseded: "other"} })
		time.Sleep(16 * time.Second)
		sets, _ := s.asked()
		if least, most := pauses(sets); len(sets) < 10 || least < 500*time.Millisecond || most > time.Second {
			t.Errorf("%d sets %v to %v apart, want one every 500 ms to 1 s", len(sets), least, most)
		}
		if last := s.declared(); !last.Exclusive || last.Claim || a.Status().Standby == "" {
			t.Errorf("set = %+v, standby %q, want no claim, and the reason", last, a.Status().Standby)
		}
		s.with(func() { s.away = true })
		time.Sleep(10 * time.Second)
		if a.Status().Standby == "" {
			t.Error("a server that is away made the id this agent's")
		}
		s.with(func() { s.away, s.taken, s.beat = false, false, api.AgentAnswer{} })
		time.Sleep(10 * time.Second)
		if sets, beats := s.asked(); len(sets) != 1 || len(beats) == 0 || a.Status().Standby != "" {
			t.Errorf("%d sets, %d beats, standby %q, want one set, and beats", len(sets), len(beats), a.Status().Standby)
		}
	})
}

// A copy that was never taken leaves alone what stands under its id.
func TestCopyClaimsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dir, other := &server{}, t.TempDir(), t.TempDir()
		a, stop := announcing(t, s, dir)
		time.Sleep(time.Second)
		stop()
		if !a.Claims() {
			t.Error("a set that was taken is not claimed")
		}
		state, err := os.ReadFile(filepath.Join(dir, announce.StateName))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(other, announce.StateName), state, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, away := range []bool{true, false} {
			s.with(func() { s.away = away })
			b, stop := announcing(t, s, other)
			time.Sleep(time.Second)
			stop()
			if b.Claims() == away || b.Incarnation() == a.Incarnation() {
				t.Errorf("server away %v: claims %v, incarnation %s, want a new one that claims once it is taken", away, b.Claims(), b.Incarnation())
			}
			_ = os.WriteFile(filepath.Join(other, announce.StateName), state, 0o600)
		}
	})
}

// A run that goes on sends no set, with the incarnation of the one before.
func TestResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dir := &server{}, t.TempDir()
		a, stop := announcing(t, s, dir)
		time.Sleep(time.Second)
		stop()
		s.with(func() {})
		b, stop := announcing(t, s, dir)
		time.Sleep(20 * time.Second)
		stop()
		if sets, beats := s.asked(); len(sets) != 0 || len(beats) < 4 || a.Incarnation() != b.Incarnation() {
			t.Errorf("%d sets, %d beats, incarnation %s after %s, want beats alone, of the same", len(sets), len(beats), b.Incarnation(), a.Incarnation())
		}
		if id := announce.KeptAgent(filepath.Join(dir, announce.StateName)); id != "a" {
			t.Errorf("KeptAgent = %q, want a", id)
		}
		b.Forget()
		c, stop := announcing(t, s, dir)
		time.Sleep(time.Second)
		stop()
		if sets, _ := s.asked(); len(sets) != 1 || c.Incarnation() == b.Incarnation() {
			t.Errorf("%d sets, incarnation %s, want a new one after a leave", len(sets), c.Incarnation())
		}
	})
}
