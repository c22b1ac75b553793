package dnsd_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/musterhq/muster/dnsd"
)

// blastEnv holds the address that this process is to ask, as the load of a benchmark.
// The server's processor time is its own then.
const blastEnv = "DNSD_BLAST"

func TestMain(m *testing.M) {
	if addr := os.Getenv(blastEnv); addr != "" {
		if err := blast(addr, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const (
	blastSockets = 16
	blastWindow  = 8 // queries of each that are under way
)

// blast asks as many queries as each line of in says, and answers each line with one.
func blast(addr string, in io.Reader, out io.Writer) error {
	query, err := question("a.example.org.", 16).Pack()
	if err != nil {
		return err
	}
	var conns []*ipv4.PacketConn
	for range blastSockets {
		c, err := net.Dial("udp", addr) //nolint:noctx // there is nothing to wait for
		if err != nil {
			return err
		}
		conns = append(conns, ipv4.NewPacketConn(c.(*net.UDPConn)))
	}
	send, receive := make([]ipv4.Message, blastWindow), make([]ipv4.Message, 64)
	for i := range send {
		send[i].Buffers = [][]byte{append([]byte(nil), query...)}
	}
	for i := range receive {
		receive[i].Buffers = [][]byte{make([]byte, 1500)}
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		lost := 0
		for asked := 0; asked < n; asked += blastSockets * blastWindow {
			for _, c := range conns {
				for left := send; len(left) > 0; {
					k, err := c.WriteBatch(left, 0)
					if err != nil {
						return err
					}
					left = left[k:]
				}
			}
			for _, c := range conns {
				if err := c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
					return err
				}
				for got := 0; got < blastWindow; {
					k, err := c.ReadBatch(receive, 0)
					if err != nil {
						lost += blastWindow - got
						break
					}
					got += k
				}
			}
		}
		fmt.Fprintln(out, lost)
	}
	return nil
}

// blasted runs a benchmark of the server at addr with that load. One operation are many
// queries; it reports a query, and the processor time of the server alone.
func blasted(b *testing.B, addr string) {
	b.Helper()
	const queries = 100 * blastSockets * blastWindow
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), exe)
	if path, err := exec.LookPath("taskset"); err == nil && os.Getenv("DNSD_BLAST_CPU") != "" {
		cmd = exec.CommandContext(b.Context(), path, "-c", os.Getenv("DNSD_BLAST_CPU"), exe)
	}
	cmd.Env = append(os.Environ(), blastEnv+"="+addr, "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	answers := bufio.NewScanner(out)
	lost := 0
	ask := func() {
		if _, err := fmt.Fprintln(in, queries); err != nil || !answers.Scan() {
			b.Fatal("the load has ended", err)
		}
		n, _ := strconv.Atoi(answers.Text())
		lost += n
	}
	ask()
	lost = 0
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		ask()
	}
	asked := float64(b.N) * queries
	b.ReportMetric(float64(b.Elapsed())/asked, "ns/query")
	b.ReportMetric(float64(cpu(b)-before)/asked, "cpu-ns/query")
	b.ReportMetric(float64(lost)/asked*1e6, "lost/M")
	in.Close()
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(cmd.ProcessState.SystemTime()+cmd.ProcessState.UserTime())/(asked+queries), "load-ns/query")
}

// BenchmarkBlast has the answers of CoreDNS, and of a hot path that does nothing, at
// full load.
func BenchmarkBlast(b *testing.B) {
	for name, storage := range map[string]map[any]any{
		"cold": {textKey{}: "text"},
		"hot":  {hotKey{}: echo{}},
	} {
		for at, bind := range map[string]string{"address": " bind 127.0.0.1\n", "wildcard": ""} {
			b.Run(name+"/"+at, func(b *testing.B) {
				_, addr := open(b, ".:PORT {\n"+bind+" muster\n}", dnsd.Config{Storage: storage})
				blasted(b, addr)
			})
		}
	}
}
