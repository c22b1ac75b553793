package scale_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/peer"
)

// TestMany fills a store, starts a server on it, and changes things while the server
// answers.
func TestMany(t *testing.T) {
	dnsperf := peer.Path(t, "dnsperf")
	w := newWorld(t)
	all := *services * *instances
	loaded := w.bench(append([]string{"load", "--data-dir", w.data}, roster(*services, *instances)...)...)
	if got := loaded.Figures["instances"]; got != float64(all) {
		t.Fatalf("%v instances were loaded, want %d", got, all)
	}
	const name = "bench-000042.svc.muster.internal."
	w.say("first start to the first right answer: %s", w.start(name, addresses).Round(time.Millisecond))
	w.memory("after the start", all)
	w.bench("list", "--made", "--services", strconv.Itoa(*services), "--rate", strconv.Itoa(*rate), "--duration", "2s")
	w.busy(dnsperf)
	w.memory("after the changes", all)
	w.Stop()
	w.say("restart to the first right answer: %s", w.start(name, addresses).Round(time.Millisecond))
	w.memory("after the restart", all)
}

// busy has things changed while questions are asked.
func (w *world) busy(dnsperf string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "questions")
	out, err := exec.CommandContext(w.t.Context(), bench, "questions", "--services", strconv.Itoa(*services)).Output()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(file, out, 0o600); err != nil {
		w.t.Fatal(err)
	}
	host, port := w.dnsPort()
	var asked bytes.Buffer
	asker := exec.CommandContext(w.t.Context(), dnsperf, "-s", host, "-p", port, "-d", file, "-Q", strconv.Itoa(*questions), "-l", strconv.Itoa(*seconds+2), "-c", "16", "-q", "2000", "-t", "1", "-e")
	asker.Stdout, asker.Stderr = &asked, &asked
	if err := asker.Start(); err != nil {
		w.t.Fatal(err)
	}
	etcd := children(w.t, w.PID())[0]
	server, stored, began := used(w.t, w.PID()), used(w.t, etcd), time.Now()
	changed := w.bench("change", "--dns", w.dns, "--rate", strconv.Itoa(*rate), "--duration", strconv.Itoa(*seconds)+"s", "--services", "1000", "--watchers", "4", "--every", "1ms")
	took := time.Since(began)
	w.say("the server took %.2f cores meanwhile, its etcd %.2f", (used(w.t, w.PID())-server).Seconds()/took.Seconds(), (used(w.t, etcd)-stored).Seconds()/took.Seconds())
	if err := asker.Wait(); err != nil {
		w.t.Errorf("dnsperf: %v\n%s", err, asked.String())
	}
	w.say("dnsperf:\n%s", asked.String())
	if len(changed.Times) == 0 || changed.Times[0].Took.Count == 0 || len(changed.Times[0].Faults) > 0 {
		w.t.Errorf("changes in DNS = %+v, want some, and all that were watched", changed.Times)
	}
}
