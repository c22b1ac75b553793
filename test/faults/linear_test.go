package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/test/faults/cluster"
)

// What is done to one instance.
const (
	register = iota
	deregister
	get
)

// operation is what a client asked: its value tells a registration from others.
type operation struct {
	what  int
	value string
}

// result is what a client learned; unknown when it learned nothing.
type result struct {
	unknown bool
	value   string // of a get: empty when the instance is not there
	absent  bool   // a deregistration found nothing
}

// instance is one instance as it ought to behave: its state is its value, empty
// when it is not registered.
var instance = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		was, in, out := state.(string), input.(operation), output.(result)
		switch in.what {
		case register:
			return true, in.value
		case deregister:
			// Of two at once both may be told that it is gone now; that it was not
			// there before is something else.
			return !out.absent || was == "", ""
		}
		return out.value == was, was
	},
	DescribeOperation: func(input, output any) string {
		in, out := input.(operation), output.(result)
		return fmt.Sprintf("%s %+v", [...]string{"register " + in.value, "deregister", "get"}[in.what], out)
	},
}

// script is the clients of some instances of one server.
type script struct {
	url    string
	client *http.Client
	began  time.Time

	mu      sync.Mutex
	all     map[string][]porcupine.Operation // by instance; under mu
	failed  error                            // under mu
	unknown int                              // under mu
}

// linearizable kills a server while clients write and read instances, and asks
// whether what each of them saw can have happened in one order.
func linearizable(t *testing.T) {
	rounds := 2
	if *longFlag {
		rounds = 20
	}
	histories, unknown, illegal := killAndCheck(t, os.Getenv(variableMuster), rounds)
	t.Logf("%d histories with %d writes of unknown outcome", histories, unknown)
	if unknown == 0 {
		t.Error("no write was cut off by a kill: the histories prove little")
	}
	if len(illegal) > 0 {
		t.Errorf("seed %d: %d histories are illegal; no order explains:\n%s", seed(), len(illegal), illegal[0])
	}
}

// perRound is how many instances there are in each round, each with a history of
// its own.
const perRound = 10

// killAndCheck kills a server once in each round.
func killAndCheck(t *testing.T, binary string, rounds int) (histories, unknown int, illegal []string) {
	t.Helper()
	s := open(t, cluster.Config{Muster: binary}, size{services: 1})
	server := s.cluster.Servers[0]
	for round := range rounds {
		sc := &script{url: server.URL(), began: time.Now(), all: make(map[string][]porcupine.Operation),
			client: &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
		ctx, stop := context.WithCancel(s.ctx)
		var clients sync.WaitGroup
		for i := range perRound {
			name := fmt.Sprintf("linear-%d-%d", round, i)
			for c := range 3 {
				random := rand.New(rand.NewPCG(s.random.Uint64(), s.random.Uint64()))
				clients.Go(func() { sc.run(ctx, name, c, random) })
			}
		}
		s.pass(100*time.Millisecond + time.Duration(s.random.Int64N(int64(400*time.Millisecond))))
		s.must(server.Crash())
		s.must(server.Start())
		s.must(s.within(time.Minute, server.Ready))
		s.pass(300 * time.Millisecond)
		stop()
		clients.Wait()
		sc.client.CloseIdleConnections()
		s.must(sc.failed)
		unknown += sc.unknown
		for name, all := range sc.all {
			histories++
			if porcupine.CheckOperationsTimeout(instance, all, time.Minute) != porcupine.Ok {
				illegal = append(illegal, name+"\n"+written(all))
			}
		}
	}
	s.close()
	return histories, unknown, illegal
}

// written returns a history as lines.
func written(all []porcupine.Operation) string {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var text strings.Builder
	for _, o := range all {
		end := "never"
		if o.Return != math.MaxInt64 {
			end = fmt.Sprintf("%.4f s", time.Duration(o.Return).Seconds())
		}
		fmt.Fprintf(&text, "  client %d, %.4f s to %s: %s\n", o.ClientId, time.Duration(o.Call).Seconds(), end,
			instance.DescribeOperation(o.Input, o.Output))
	}
	return text.String()
}

// run is one client of one instance.
func (s *script) run(ctx context.Context, name string, client int, random *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		in := operation{what: random.IntN(3)}
		if in.what == register {
			in.value = fmt.Sprintf("%d.%d", client, n)
		}
		call := time.Since(s.began)
		out, known, err := s.do(name, in)
		end := time.Since(s.began)
		s.mu.Lock()
		switch {
		case err != nil:
			s.failed = err
		case known:
			o := porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call.Nanoseconds(), Return: end.Nanoseconds()}
			if out.unknown { // it may yet be done at any time
				o.Return = math.MaxInt64
				s.unknown++
			}
			s.all[name] = append(s.all[name], o)
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(10+random.IntN(40)) * time.Millisecond):
		}
	}
}

// do makes one call. known is false when it did nothing and told nothing.
func (s *script) do(name string, in operation) (out result, known bool, err error) {
	const endpoint = "192.0.2.1:8080"
	path := strings.NewReplacer("{namespace}", "public", "{group}", "DEFAULT_GROUP", "{service}", name, "{endpoint}", endpoint)
	method, to, body := http.MethodGet, api.PathInstances, ""
	switch in.what {
	case register:
		method, to, body = http.MethodPut, api.PathInstance, `{"metadata":{"value":"`+in.value+`"}}`
	case deregister:
		method, to = http.MethodDelete, api.PathInstance
	}
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path.Replace(to), strings.NewReader(body))
	if err != nil {
		return out, false, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		out.unknown = true
		var op *net.OpError
		unsent := errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &op) && op.Op == "dial"
		return out, in.what != get && !unsent, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil || resp.StatusCode == http.StatusServiceUnavailable:
		out.unknown = true
		return out, in.what != get, nil
	case resp.StatusCode == http.StatusNotFound && in.what != register:
		out.absent = true
	case resp.StatusCode >= 300:
		return out, false, fmt.Errorf("%s %s: %s %s", method, path.Replace(to), resp.Status, b)
	}
	if resp.Header.Get(api.HeaderLagging) == "true" {
		out.unknown = true
	}
	if in.what == get && !out.absent {
		var list api.InstanceList
		if err := json.Unmarshal(b, &list); err != nil {
			return out, false, err
		}
		for _, i := range list.Instances {
			out.value = i.Metadata["value"]
		}
	}
	return out, true, nil
}
