// Package dnsperf runs the program of that name, a load for DNS servers from DNS-OARC,
// and reads what it says.
package dnsperf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Run is one call of the program.
type Run struct {
	// Program is its path, Questions that of a file with a line for each.
	Program, Questions string
	// To is the server.
	To netip.AddrPort
	// Threads and Length are for how many threads, and how long.
	Threads int
	Length  time.Duration
	// Rate is how many questions to ask a second at the most; 0: all it can.
	Rate int
}

// Result is what became of it.
type Result struct {
	Sent, Answered, Lost int
	// Codes are the answers with each response code, by its name.
	Codes map[string]int
	// Took is how long it asked, Mean and Max what answers took.
	Took, Mean, Max time.Duration
	// Request and Response are average sizes of packets in octets.
	Request, Response int
}

// Rate returns the answers a second.
func (r Result) Rate() float64 { return float64(r.Answered) / r.Took.Seconds() }

// Args returns the arguments of the program. More than 240 questions at a time are too
// many for servers whose sockets have the room that Linux gives by default: they lose
// some of the first burst, and then the program's patience is what is measured.
func (r Run) Args() []string {
	args := []string{
		"-s", r.To.Addr().String(), "-p", strconv.Itoa(int(r.To.Port())), "-d", r.Questions,
		"-c", "16", "-T", strconv.Itoa(r.Threads), "-q", "240", "-l", strconv.FormatFloat(r.Length.Seconds(), 'f', -1, 64), "-t", "1", "-e",
	}
	if r.Rate > 0 {
		args = append(args, "-Q", strconv.Itoa(r.Rate))
	}
	return args
}

// Do runs the program.
func (r Run) Do(ctx context.Context) (Result, error) {
	out, err := exec.CommandContext(ctx, r.Program, r.Args()...).CombinedOutput()
	if err != nil {
		return Result{}, fmt.Errorf("dnsperf: %w\n%s", err, out)
	}
	return Parse(string(out))
}

// line finds a line of statistics.
var line = regexp.MustCompile(`(?m)^\s+(Queries sent|Queries completed|Queries lost|Response codes|Average packet size|Run time \(s\)|Average Latency \(s\)):\s+(.*)$`)

// Parse reads the statistics that the program prints at its end.
func Parse(out string) (r Result, err error) {
	stats := make(map[string]string)
	for _, m := range line.FindAllStringSubmatch(out, -1) {
		stats[m[1]] = m[2]
	}
	var problems []error
	scan := func(key, format string, into ...any) {
		if _, err := fmt.Sscanf(stats[key], format, into...); err != nil {
			problems = append(problems, fmt.Errorf("%s: %q: %w", key, stats[key], err))
		}
	}
	var took, mean, least, most float64
	scan("Queries sent", "%d", &r.Sent)
	scan("Queries completed", "%d", &r.Answered)
	scan("Queries lost", "%d", &r.Lost)
	scan("Average packet size", "request %d, response %d", &r.Request, &r.Response)
	scan("Run time (s)", "%f", &took)
	scan("Average Latency (s)", "%f (min %f, max %f)", &mean, &least, &most)
	r.Codes = make(map[string]int)
	for code := range strings.SplitSeq(stats["Response codes"], ", ") {
		name, n := "", 0
		if _, err := fmt.Sscanf(code, "%s %d", &name, &n); err != nil && r.Answered > 0 {
			problems = append(problems, fmt.Errorf("response codes %q: %w", stats["Response codes"], err))
		}
		r.Codes[name] = n
	}
	if err := errors.Join(problems...); err != nil {
		return Result{}, fmt.Errorf("dnsperf said: %w\n%s", err, out)
	}
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	r.Took, r.Mean, r.Max = seconds(took), seconds(mean), seconds(most)
	return r, nil
}
