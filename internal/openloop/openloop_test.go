package openloop_test

import (
	"context"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/internal/openloop"
)

// starts keeps when calls were made, counted from the first one.
type starts struct {
	mu    sync.Mutex
	began time.Time
	at    map[int64]time.Duration
}

func newStarts() *starts { return &starts{began: time.Now(), at: map[int64]time.Duration{}} }

func (s *starts) add(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[n] = time.Since(s.began)
}

func TestCallsStartWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarts()
		r := openloop.Run(t.Context(), openloop.Plan{Rate: 100, Duration: time.Second}, 4, []string{"one"},
			func(_ context.Context, at openloop.Slot) (int, string) {
				s.add(at.N)
				if since := at.Due.Sub(s.began); since != time.Duration(at.N)*10*time.Millisecond {
					t.Errorf("call %d was due after %v", at.N, since)
				}
				time.Sleep(30 * time.Millisecond)
				return 0, ""
			})
		for n, at := range s.at {
			if want := time.Duration(n) * 10 * time.Millisecond; at != want {
				t.Errorf("call %d started after %v, want %v", n, at, want)
			}
		}
		if k := r.Kinds[0]; r.Started != 100 || k.Done != 100 || r.Unstarted != 0 || r.Late.Max != 0 || k.Latency.Max != 30*time.Millisecond {
			t.Errorf("Run() = %+v, want 100 calls of 30 ms, none late", r)
		}
		if r.Bottleneck() {
			t.Error("Bottleneck() = true for a generator that was never late")
		}
	})
}

// TestStall is what an open loop is for: a server that stalls once for half a second
// delays all that were due meanwhile, and each of them is to count from when it was due.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openloop.Run(t.Context(), openloop.Plan{Rate: 100, Duration: time.Second}, 1, []string{"one"},
			func(_ context.Context, at openloop.Slot) (int, string) {
				if at.N == 20 {
					time.Sleep(500 * time.Millisecond)
				}
				return 0, ""
			})
		k := r.Kinds[0]
		if k.Latency.Max != 500*time.Millisecond || k.Latency.P90 < 390*time.Millisecond {
			t.Errorf("latency = %+v, want 500 ms at the most and a tenth of all above 390 ms", k.Latency)
		}
		if k.Service.P90 != 0 && k.Service.P90 > time.Millisecond {
			t.Errorf("time from start to end = %+v, want nothing for all but one", k.Service)
		}
		if r.Busy < 45 || r.Busy > 51 {
			t.Errorf("%d calls found the worker busy, want about 50", r.Busy)
		}
	})
}

func TestSlowServerLeavesCallsUnstarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openloop.Run(t.Context(), openloop.Plan{Rate: 100, Duration: time.Second}, 1, []string{"one"},
			func(context.Context, openloop.Slot) (int, string) {
				time.Sleep(100 * time.Millisecond)
				return 0, ""
			})
		if r.Started != 10 || r.Unstarted != 90 {
			t.Errorf("started %d, left %d, want 10 and 90", r.Started, r.Unstarted)
		}
	})
}

func TestRamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStarts()
		r := openloop.Run(t.Context(), openloop.Plan{Rate: 100, Ramp: 2 * time.Second, Duration: time.Second}, 2, []string{"one"},
			func(_ context.Context, at openloop.Slot) (int, string) {
				s.add(at.N)
				return 0, ""
			})
		half := 0
		for _, at := range s.at {
			if at < time.Second {
				half++
			}
		}
		if r.Started != 200 || half < 25 || half > 26 {
			t.Errorf("%d calls, %d in the first half of the ramp, want 200 and 25", r.Started, half)
		}
		if k := r.Kinds[0]; k.Done != 200 || k.Latency.Count != 100 {
			t.Errorf("done %d, measured %d, want 200 and 100: not those of the ramp", k.Done, k.Latency.Count)
		}
	})
}

func TestWithoutRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openloop.Run(t.Context(), openloop.Plan{Limit: 10}, 2, []string{"one"}, func(context.Context, openloop.Slot) (int, string) {
			time.Sleep(time.Second)
			return 0, ""
		})
		if r.Started != 10 || r.Elapsed != 5*time.Second || r.Kinds[0].Latency.Max != time.Second || r.Rate() != 2 {
			t.Errorf("Run() = %+v, want 10 calls of a second on two workers in 5 s", r)
		}
	})
}

func TestKindsAndFaults(t *testing.T) {
	r := openloop.Run(t.Context(), openloop.Plan{Limit: 6}, 1, []string{"even", "odd"}, func(_ context.Context, at openloop.Slot) (int, string) {
		if at.N == 3 {
			return 1, "503"
		}
		return int(at.N % 2), ""
	})
	if diff := cmp.Diff(map[string]int64{"503": 1}, r.Kinds[1].Faults); diff != "" || r.Faults() != 1 {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if r.Kinds[0].Done != 3 || r.Kinds[1].Done != 2 || r.Kinds[1].Latency.Count != 2 {
		t.Errorf("kinds = %+v, want 3 even, 2 odd", r.Kinds)
	}
}

func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		r := openloop.Run(ctx, openloop.Plan{Rate: 10, Duration: time.Hour}, 2, []string{"one"},
			func(context.Context, openloop.Slot) (int, string) { return 0, "" })
		if !r.Interrupted || r.Elapsed != 500*time.Millisecond || r.Unstarted != 0 {
			t.Errorf("Run() = %+v, want an interrupted one of half a second", r)
		}
	})
}

func TestCheck(t *testing.T) {
	for name, p := range map[string]openloop.Plan{
		"negative rate":  {Rate: -1, Limit: 1},
		"no number":      {Rate: math.NaN(), Limit: 1},
		"endless rate":   {Rate: math.Inf(1), Limit: 1},
		"hardly a rate":  {Rate: 1e-9, Limit: 1},
		"negative ramp":  {Rate: 1, Ramp: -1, Limit: 1},
		"no end":         {Rate: 1},
		"negative limit": {Rate: 1, Limit: -1},
	} {
		if p.Check() == nil {
			t.Errorf("%s: Check(%+v) = nil, want an error", name, p)
		}
	}
	if err := (openloop.Plan{Rate: 1, Duration: 1}).Check(); err != nil {
		t.Errorf("Check() of a good plan = %v", err)
	}
}
