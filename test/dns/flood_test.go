package dns_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/dns/lab"
)

// sendGarbage is what this program does instead of tests when it is told to.
func sendGarbage(address string, rate int) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	sent, err := lab.Garbage(ctx, address, rate)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(sent)
	return 0
}

// Who floods the server with garbage from one network does not keep an honest client in
// another one from being answered, or from being answered soon, and leaves nothing
// behind.
func TestHonestClientInAFlood(t *testing.T) {
	const rate, rounds = 1000, 3
	// What the kernel loses before the server sees it depends on who else uses the
	// machine, and so does all but the middle of what is measured: the short flood is a
	// small one, of which a server that looked into every packet would be late too.
	length, flood, lossOf, most := 2*time.Second, 50_000, 20, 10*time.Millisecond
	if *floodFlag > 0 {
		length, flood, lossOf = *floodFlag, 0, 1000
	}
	address := lab.Address()
	s := start(t, block(address, lab.Port, "rate_limit 2000"))
	lab.KeepApart(t, s.Process)
	for i := range 3 {
		s.Put(named("order-api"), at(fmt.Sprint("10.0.0.", i+1), 8080))
	}
	question, err := lab.Question(full("order-api.svc"), dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	// Its own collector would make the client late.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	measure := func(length time.Duration) lab.Latencies {
		t.Helper()
		l, err := lab.Steady(t.Context(), address+":"+lab.Port, question, rate, int(length.Seconds()*rate), wantAddresses(3))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	measure(time.Second) // what is grown once is grown
	before := footprint(t, s)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var calm, flooded []lab.Latencies
	for range rounds {
		calm = append(calm, measure(length))
		flooder := binary.Start(t, program, "-dns.garbage="+address+":"+lab.Port, fmt.Sprint("-dns.garbage.rate=", flood))
		began, quiet := time.Now(), footprint(t, s).received
		binary.Eventually(t, time.Minute, "the flood is there", func() bool { return footprint(t, s).received > quiet+10_000 })
		flooded = append(flooded, measure(length))
		flooder.Stop()
		sent, err := strconv.Atoi(strings.TrimSpace(flooder.Log()))
		if err != nil {
			t.Fatalf("the flooder says %q", flooder.Log())
		}
		t.Logf("calm %v; in a flood of %.0f packets a second %v", calm[len(calm)-1], float64(sent)/time.Since(began).Seconds(), flooded[len(flooded)-1])
	}
	alone, loud := middle(calm), middle(flooded)
	t.Logf("medians: calm %v; in a flood %v, %.2f times the p99", alone, loud, float64(loud.P99)/float64(alone.P99))
	if loud.Lost*lossOf > loud.Asked {
		t.Errorf("%d of %d questions got no answer in a flood, want at most one in %d", loud.Lost, loud.Asked, lossOf)
	}
	if loud.P50 > most {
		t.Errorf("the median is %v in a flood, want at most %v", loud.P50, most)
	}
	if *floodFlag > 0 && loud.P99 >= 2*alone.P99 {
		t.Errorf("p99 is %v in a flood and %v without, want less than twice of that", loud.P99, alone.P99)
	}
	var after usage
	settled := func() bool {
		after = footprint(t, s)
		return after.goroutines <= before.goroutines+80 && after.resident <= before.resident+64<<20
	}
	binary.Eventually(t, time.Minute, "the server is as small as before", settled)
	t.Logf("before: %v; after: %v", before, after)
}

// wantAddresses demands answers with so many addresses.
func wantAddresses(n int) func([]byte) error {
	return func(reply []byte) error {
		got := 0
		err := records(reply, func(p *dnsmessage.Parser, h dnsmessage.ResourceHeader) error {
			got++
			_, err := addressOf(p, h.Type)
			return err
		})
		if err == nil && got != n {
			err = fmt.Errorf("%d addresses, want %d", got, n)
		}
		return err
	}
}

// middle returns the medians of several measurements with as many questions each.
func middle(all []lab.Latencies) lab.Latencies {
	return lab.Latencies{
		P50:   median(all, func(l lab.Latencies) time.Duration { return l.P50 }),
		P99:   median(all, func(l lab.Latencies) time.Duration { return l.P99 }),
		Max:   median(all, func(l lab.Latencies) time.Duration { return l.Max }),
		Asked: all[0].Asked,
		Lost:  median(all, func(l lab.Latencies) int { return l.Lost }),
	}
}

func median[T cmp.Ordered](all []lab.Latencies, of func(lab.Latencies) T) T {
	var values []T
	for _, l := range all {
		values = append(values, of(l))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// usage is what a server takes up.
type usage struct {
	goroutines, resident int
	received             int // datagrams, by all in this network
}

func (u usage) String() string {
	return fmt.Sprintf("%d goroutines, %d MiB resident", u.goroutines, u.resident>>20)
}

func footprint(t *testing.T, s *lab.Server) (u usage) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.HTTP+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	metrics, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]*int{"go_goroutines": &u.goroutines, "process_resident_memory_bytes": &u.resident} {
		m := regexp.MustCompile(`(?m)^` + name + ` (.*)$`).FindSubmatch(metrics)
		if m == nil {
			t.Fatalf("no metric %s in:\n%.2000s", name, metrics)
		}
		f, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		*value = int(f)
	}
	snmp, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`Udp: (\d+)`).FindSubmatch(snmp)
	if m == nil {
		t.Fatalf("no count of datagrams in:\n%s", snmp)
	}
	u.received, _ = strconv.Atoi(string(m[1])) // they are digits
	return u
}
