package benchdns_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/test/benchdns/blast"
	"github.com/musterhq/muster/test/benchdns/contest"
)

// Who beats, how often, and when they are given up. A beat that is lost is not made up
// for: the next one comes in its own time.
const (
	agents         = 100
	perAgent       = 10
	beatingByOwn   = 100
	beatingByNacos = 100
	beatInterval   = time.Second
	answerWithin   = 5 * time.Second
)

// beatTimeout is short where the machine has nothing else to do.
func beatTimeout() time.Duration {
	if *overloadFlag > 0 {
		return 5 * time.Second
	}
	return 15 * time.Second
}

// beats are agents and instances that beat until they are told to stop, and what became
// of it.
type beats struct {
	client *client.Client
	http   string
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	sent     int
	latency  blast.Histogram
	problems []error // of single beats
	late     int     // beats that were not answered in time, where those are no problem
	fallen   []string
}

func (b *beats) String() string {
	return fmt.Sprintf("%d beats, %d lost, %d not answered in time, latency %v on average, p99 %v, most %v; %d instances fell", b.sent, len(b.problems), b.late,
		b.latency.Mean(), b.latency.Quantile(0.99), b.latency.Max(), len(b.fallen))
}

// want demands that beats were answered, none lost, and that nobody was taken for silent.
func (b *beats) want(t *testing.T) {
	t.Helper()
	if b.sent == b.late || len(b.problems) > 0 {
		t.Errorf("%d of %d beats were lost, want none: %v", len(b.problems), b.sent, errors.Join(b.problems[:min(len(b.problems), 5)]...))
	}
	if len(b.fallen) > 0 {
		t.Errorf("taken for silent: %q, want nobody", b.fallen[:min(len(b.fallen), 5)])
	}
}

// startBeats registers those who beat, and has them beat until stop or the test's end.
func startBeats(t *testing.T, s contest.Server) *beats {
	t.Helper()
	c, err := client.New([]string{s.HTTP}, client.Config{Rounds: 1, Timeout: answerWithin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithCancel(t.Context())
	b := &beats{client: c, http: "http://" + s.HTTP, cancel: cancel}
	t.Cleanup(func() { b.stop() })
	var each []func(context.Context) error
	var registered errgroup.Group
	registered.SetLimit(16)
	add := func(register, beat func(context.Context) error) {
		registered.Go(func() error { return register(ctx) })
		each = append(each, beat)
	}
	for i := range agents {
		add(b.agent(i))
	}
	for i := range beatingByOwn {
		add(b.own(i))
	}
	for i := range beatingByNacos {
		add(b.nacos(i))
	}
	if err := registered.Wait(); err != nil {
		t.Fatal(err)
	}
	b.wg.Go(func() { b.watch(ctx) })
	for i, beat := range each {
		b.wg.Go(func() {
			// They do not beat all at once.
			first := beatInterval * time.Duration(i) / time.Duration(len(each))
			for due := time.After(first); ; due = time.After(beatInterval) {
				select {
				case <-due:
					b.one(ctx, beat)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	return b
}

// stop ends all beats and returns b, which changes no more.
func (b *beats) stop() *beats {
	b.cancel()
	b.wg.Wait()
	return b
}

// one sends a beat.
func (b *beats) one(ctx context.Context, beat func(context.Context) error) {
	began := time.Now()
	err := beat(ctx)
	took := time.Since(began)
	if ctx.Err() != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent++
	b.latency.Count(took, 1)
	switch {
	case err == nil:
	case *overloadFlag == 0 && took >= answerWithin: // nobody refused it
		b.late++
	default:
		b.problems = append(b.problems, err)
	}
}

// watch writes down who is taken for silent.
func (b *beats) watch(ctx context.Context) {
	err := b.client.Watch(ctx, client.WatchAll, client.WatchFilter{}, func(e client.Event) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if e.Kind == api.EventRemoved {
			b.fallen = append(b.fallen, fmt.Sprint(e.Removed))
		}
		if e.Service == nil {
			return nil
		}
		for _, i := range e.Service.Instances {
			if i.Silent || i.Healthy != nil && !*i.Healthy {
				b.fallen = append(b.fallen, fmt.Sprintf("%s %s:%d", e.Service.Service.Name, i.Address, i.Port))
			}
		}
		for _, endpoint := range e.Service.Gone {
			b.fallen = append(b.fallen, e.Service.Service.Name+" "+endpoint)
		}
		return nil
	})
	if ctx.Err() == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.problems = append(b.problems, fmt.Errorf("the watch ended: %w", err))
	}
}

// timeouts are the metadata that ask for the beats of this test.
func timeouts() map[string]string {
	ms := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	return map[string]string{
		"preserved.heart.beat.interval": ms(beatInterval), "preserved.heart.beat.timeout": ms(beatTimeout()), "preserved.ip.delete.timeout": ms(2 * beatTimeout()),
	}
}

// agent registers and beats as an agent does.
func (b *beats) agent(i int) (register, beat func(context.Context) error) {
	id := fmt.Sprint("agent-", i)
	set := api.AgentSet{Incarnation: "1", Host: id}
	for n := range perAgent {
		set.Instances = append(set.Instances, api.AgentInstance{
			Service: fmt.Sprint("by-agent-", n), Address: fmt.Sprintf("10.200.0.%d", i), Port: contest.Port, Metadata: timeouts(), Health: api.HealthPassing,
		})
	}
	digest, health := api.Digest(set.Instances)
	sequence := uint64(0)
	register = func(ctx context.Context) error {
		a, err := b.client.PutAgent(ctx, id, set)
		if err == nil && len(a.Rejected) > 0 {
			err = fmt.Errorf("rejected of %s: %v", id, a.Rejected)
		}
		return err
	}
	return register, func(ctx context.Context) error {
		sequence++
		a, err := b.client.BeatAgent(ctx, id, api.AgentBeat{Incarnation: "1", Sequence: sequence, Digest: digest, Health: health})
		if err == nil && a.Resync {
			err = fmt.Errorf("%s is asked for its set again", id)
		}
		return err
	}
}

// own registers and beats by Muster's own API.
func (b *beats) own(i int) (register, beat func(context.Context) error) {
	name, at := client.Name{Name: "by-http"}, api.Instance{Address: fmt.Sprintf("10.200.1.%d", i), Port: contest.Port, Ephemeral: true, Metadata: timeouts()}
	register = func(ctx context.Context) error {
		_, err := b.client.Register(ctx, name, at)
		return err
	}
	return register, func(ctx context.Context) error {
		_, err := b.client.Beat(ctx, name, client.Endpoint(at.Address, at.Port))
		return err
	}
}

// nacos registers and beats by the API of Nacos.
func (b *beats) nacos(i int) (register, beat func(context.Context) error) {
	query := url.Values{"serviceName": {"by-nacos"}, "ip": {fmt.Sprintf("10.200.2.%d", i)}, "port": {strconv.Itoa(contest.Port)}}
	registration := url.Values{"metadata": {fmt.Sprintf(`{"preserved.heart.beat.interval":"%d","preserved.heart.beat.timeout":"%d","preserved.ip.delete.timeout":"%d"}`,
		beatInterval.Milliseconds(), beatTimeout().Milliseconds(), 2*beatTimeout().Milliseconds())}}
	maps.Copy(registration, query)
	const path = "/nacos/v1/ns/instance"
	register = func(ctx context.Context) error {
		return b.call(ctx, http.MethodPost, path+"?"+registration.Encode(), "ok")
	}
	return register, func(ctx context.Context) error {
		return b.call(ctx, http.MethodPut, path+"/beat?"+query.Encode(), `"code":10200`)
	}
}

// call makes a call of Nacos, whose answer is to hold some words.
func (b *beats) call(ctx context.Context, method, path, want string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, b.http+path, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(answer), want) {
		return fmt.Errorf("%s %s: %s %s (%w)", method, path, resp.Status, answer, err)
	}
	return nil
}
