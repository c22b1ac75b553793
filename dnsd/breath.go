package dnsd

import (
	"runtime"
	"time"
)

// breathEvery is how long goroutines go on without waiting for the network before they
// wait for their bell.
const breathEvery = time.Millisecond

// breath lets others run beside goroutines that always find something to do. Go's
// scheduler looks at the network when a processor has nothing to run; while each has,
// it does so every 10 ms only, and a request over HTTP, such as a heartbeat, waits
// that long for each of its steps. So they give their processor away after each piece of
// work, and now and then wait for the network themselves, for a bell that they ring. It
// is for one goroutine at a time.
type breath struct {
	bell   bell
	waited time.Duration // for the network, the last time
}

// take lets others run.
func (b *breath) take(now time.Duration) {
	if now-b.waited > breathEvery {
		b.bell.wait()
		b.waited = clock()
		return
	}
	runtime.Gosched()
}
