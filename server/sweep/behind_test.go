package sweep_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/server/sweep"
)

// The scans come in time while beats lie unread: nobody is judged by that time, and what
// had passed before still counts.
func TestNobodyIsJudgedWhileBeatsLieUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var unread atomic.Bool
		h := newHouse(t, sweep.Config{Behind: unread.Load})
		h.judge()
		defer h.stop()
		beats, lost := endpoint("order-api", "192.0.2.1"), endpoint("order-api", "192.0.2.2")
		h.register(beats, nil)
		h.register(lost, nil)
		step(10 * time.Second)
		unread.Store(true)
		step(time.Hour)
		h.want(beats, healthy, "while beats lie unread")
		h.beat(beats)
		unread.Store(false)
		step(4 * time.Second)
		h.want(lost, healthy, "silent for 14 s that count")
		step(1*time.Second + slack)
		h.want(lost, silent, "silent for 15 s that count")
		h.want(beats, healthy, "whose beat was read at the end")
		h.beat(beats)
		step(14 * time.Second)
		h.want(lost, silent, "silent for 29 s that count")
		h.want(beats, healthy, "heard of 14 s ago")
		step(2 * time.Second)
		h.want(lost, gone, "silent for 31 s that count")
		h.want(beats, silent, "silent for 16 s")
	})
}
