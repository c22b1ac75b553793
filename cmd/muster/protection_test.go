package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

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
	var registering errgroup.Group
	for n := range many { // at once: the first one is not to be removed before the last one is silent
		registering.Go(func() error {
			instance := values(beating("crowd", fmt.Sprint("10.0.0.", n+1), unhealthyAfter, removedAfter))
			status, body, err := request(http.MethodPost, judge.url()+pathInstance, instance)
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("registration = %d %q", status, body)
			}
			return err
		})
	}
	if err := registering.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*serverProcess{judge, other} {
		eventually(t, time.Minute, "all removals are held back", func() bool {
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
	// A sweep that was late gives everybody so much longer, and holds nothing back until then.
	for _, of := range [][]string{{"protection", "show"}, {"status"}} {
		var out string
		says := func() bool {
			_, out = command(t, append(of, "--server", other.url())...)
			return strings.Contains(out, "25 of 25 witnesses silent, 25 removals held back")
		}
		if !poll(time.Minute, says, nil) {
			t.Errorf("muster %v = %q, want that removals are held back", of, out)
		}
	}

	if was := other.protection("confirm"); !was.Active || was.Silent != many {
		t.Errorf("muster protection confirm = %+v, want what was held back", was)
	}
	for _, s := range []*serverProcess{judge, other} {
		eventually(t, time.Minute, "all are removed", func() bool { return len(s.hosts("crowd")) == 0 })
	}
	if p := other.protection("show"); p.Active || p.Held != 0 {
		t.Errorf("muster protection show after the confirmation = %+v, want none", p)
	}
	if code, out := command(t, "protection", "confirm", "--server", other.url()); code != exitDone || out != "nothing was held back\n" {
		t.Errorf("another confirmation = %d %q, want that nothing was held back", code, out)
	}
}
