package dnsd

import (
	"runtime"
	"time"
)

// breathEvery is how long a goroutine goes on reading without waiting for packets
// before it waits for its bell.
const breathEvery = time.Millisecond

// breath lets others run beside a goroutine that always finds something to read. Go's
// scheduler looks at the network when a processor has nothing to run; while each has,
// it does so every 10 ms only, and a request over HTTP, such as a heartbeat, waits
// that long for each of its steps. So the goroutine gives its processor away after each
// batch, and now and then waits for the network itself, for a bell that it rings.
type breath struct {
	bell   bell
	waited time.Duration // when it waited last
}

// take is called behind each batch, which it waited for or not.
func (b *breath) take(waited bool, now time.Duration) {
	switch {
	case waited:
		b.waited = now
	case now-b.waited > breathEvery:
		b.bell.wait()
		b.waited = clock()
	default:
		runtime.Gosched()
	}
}
