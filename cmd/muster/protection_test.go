package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/api"
)

// protection runs `muster protection` at a server.
func (s *serverProcess) protection(action string) (p api.Protection) {
	s.t.Helper()
	code, out := command(s.t, "protection", action, "--server", s.url(), "-o", "json")
	if err := json.Unmarshal([]byte(out), &p); err != nil || code != exitDone {
		s.t.Fatalf("muster protection %s = %d %q, %v", action, code, out, err)
	}
	return p
}

// Many that fall silent at once are not removed before an operator says so, at
// whichever server.
func TestMassSilenceIsHeldBack(t *testing.T) {
	t.Parallel()
	const many = 25
	judge, other := startTwo(t, startEtcd(t))
	for n := range many {
		judge.register(beating("crowd", fmt.Sprint("10.0.0.", n+1), fastUnhealthy, fastRemoved))
	}
	for _, s := range []*serverProcess{judge, other} {
		eventually(t, 10*time.Second, "all removals are held back", func() bool {
			list, err := fetch[api.ServerList](s, api.PathServers)
			return err == nil && list.Protection != nil && list.Protection.Held == many
		})
		if p := s.protection("show"); !p.Active || p.Slow || p.Silent != many || p.Witnesses != many || p.Until == nil || p.Since == nil || time.Until(*p.Until) < 10*time.Minute {
			t.Errorf("muster protection show at %s = %+v, want all held back for some time", s.http, p)
		}
		hosts := s.hosts("crowd")
		for _, h := range hosts {
			if h.Healthy {
				t.Errorf("%s is healthy at %s, want it silent", h.IP, s.http)
			}
		}
		if len(hosts) != many {
			t.Errorf("%d instances at %s, want all %d", len(hosts), s.http, many)
		}
	}
	if st := other.said(); st.Judge || st.Protection != nil {
		t.Errorf("status of the other server = %+v, want no judge", st.Status)
	}
	if code, out := command(t, "protection", "show", "--server", other.url()); code != exitDone || !strings.Contains(out, "25 of 25 witnesses silent, 25 removals held back") {
		t.Errorf("muster protection show = %d %q, want that it is on", code, out)
	}
	if _, out := command(t, "status", "--server", other.url()); !strings.Contains(out, "25 removals held back") {
		t.Errorf("muster status = %q, want that removals are held back", out)
	}

	if was := other.protection("confirm"); !was.Active || was.Held != many {
		t.Errorf("muster protection confirm = %+v, want what was held back", was)
	}
	for _, s := range []*serverProcess{judge, other} {
		eventually(t, 5*time.Second, "all are removed", func() bool { return len(s.hosts("crowd")) == 0 })
	}
	if p := other.protection("show"); p.Active || p.Held != 0 {
		t.Errorf("muster protection show after the confirmation = %+v, want none", p)
	}
	if code, out := command(t, "protection", "confirm", "--server", other.url()); code != exitDone || out != "nothing was held back\n" {
		t.Errorf("another confirmation = %d %q, want that nothing was held back", code, out)
	}
}
