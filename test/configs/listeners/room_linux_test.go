package listeners_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/musterhq/muster/test/binary"
)

// A server that may open few files is asked for more polls than it has connections
// for. Whoever gets none is turned away, and all other calls are answered.
func TestPollsLeaveRoomForOtherCalls(t *testing.T) {
	const files, clients = 1024, 1200
	few := filepath.Join(t.TempDir(), "few-files")
	script := fmt.Sprintf("#!/bin/sh\nulimit -n %d && exec %s \"$@\"\n", files, binary.Muster())
	if err := os.WriteFile(few, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, server: startServer(t, few), md5: map[string]string{own(0): "", shared: ""}}
	s.crowd = gather(t, s.HTTP, 0)
	turnedAway := 0
	for i := range clients {
		p := s.join(i)
		s.listen(p)
		for _, a := range s.hear(time.Now().Add(time.Millisecond)) {
			turnedAway += s.wantTurnedAway(a)
		}
	}
	held := 0
	s.AwaitFor(patience, "every client is held or turned away", func() bool {
		for _, a := range s.hear(time.Now().Add(10 * time.Millisecond)) {
			turnedAway += s.wantTurnedAway(a)
		}
		held = int(s.metric(polls))
		return held+turnedAway == clients
	})
	t.Logf("of %d polls %d are held by a server that may open %d files", clients, held, files)
	if held < files/2 {
		t.Errorf("%d polls are held, want %d at least", held, files/2)
	}
	if took := s.tell(t, shared, "shared=1", held); len(took) != held {
		t.Errorf("%d were told, want all %d", len(took), held)
	}
}

// wantTurnedAway demands that an answer says that there is no room, and that the
// server ends the connection, and counts it.
func (s *scene) wantTurnedAway(a answered) int {
	s.t.Helper()
	if a.status != http.StatusServiceUnavailable || !a.closed {
		s.t.Fatalf("client %d was answered %d %q (closed %t), want 503 and the end", a.number, a.status, a.body, a.closed)
	}
	s.leave(a.poll)
	return 1
}
