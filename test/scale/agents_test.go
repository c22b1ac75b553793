package scale_test

import (
	"strconv"
	"testing"
	"time"
)

// TestAgents has agents declare the same instances over the API.
func TestAgents(t *testing.T) {
	w := newWorld(t)
	w.start("nobody.svc.muster.internal.", nothing)
	all := *services * *instances
	args := append([]string{"agents", "--keep", "--agents", strconv.Itoa(*agents), "--clients", "8", "--duration", strconv.Itoa(*seconds) + "s"}, roster(*services, *instances)...)
	found := w.bench(args...)
	w.faultless(args, found)
	w.memory("with agents", all)
	w.Stop()
	w.say("restart to the first right answer: %s", w.start("bench-000042.svc.muster.internal.", addresses).Round(time.Millisecond))
}
