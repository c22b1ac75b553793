package agent_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// What is held open costs little, and keeps nobody out.
func TestHeldCalls(t *testing.T) {
	_, agent, local := startNacos(t)
	// Connections that ask for nothing, more than are taken, some of which send a part
	// of a request.
	crowd := 2500
	if os.Getenv("MUSTER_LONG") != "" {
		crowd = 10000
	}
	const polls, streams = 400, 60
	// Of the agent's own memory in KiB, with what the client's connections take of it.
	own := func() float64 { kib, _ := memory(t, agent.PID()); return kib * 1024 }
	fine := func(when string) {
		t.Helper()
		began := time.Now()
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		agent.Await("an answer beside "+when, func() bool {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+local+"/livez", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Do(req)
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
		t.Logf("beside %s an answer comes after %v", when, time.Since(began).Round(time.Millisecond))
	}
	fine("nothing")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client := &http.Client{Transport: &http.Transport{}}
	hold := func(n int, method, path, body string, first bool) {
		t.Helper()
		before := own()
		begun := make(chan error, n)
		for range n {
			go func() {
				req, err := http.NewRequestWithContext(ctx, method, "http://"+local+path, strings.NewReader(body))
				if err == nil {
					req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					req.Header.Set("Long-Pulling-Timeout", "60000")
					var resp *http.Response
					if !first {
						begun <- nil
					}
					if resp, err = client.Do(req); err == nil {
						defer resp.Body.Close()
						if first {
							_, err = resp.Body.Read(make([]byte, 1))
						}
					}
				}
				if first {
					begun <- err
				}
				<-ctx.Done()
			}()
		}
		for range n {
			if err := <-begun; err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(2 * time.Second) // until all are held; a figure alone hangs on it
		each := (own() - before) / float64(n)
		t.Logf("%d of %s %s: %.1f KiB each", n, method, path, each)
		if each > 128 {
			t.Errorf("%s %s takes %.1f KiB, want at most 128", method, path, each)
		}
	}
	hold(streams, http.MethodGet, "/v1/events", "", true)
	kept := ask(t, local, "POST /v1/cs/configs?dataId=kept.json&group=DEFAULT_GROUP&tenant=here content=1", "none")
	md5 := ask(t, local, "GET /v1/cs/configs?dataId=kept.json&group=DEFAULT_GROUP&tenant=here", "none").header.Get("Content-MD5")
	if kept.body != "true" || md5 == "" {
		t.Fatalf("publish = %s, MD5 %q", kept, md5)
	}
	hold(polls, http.MethodPost, "/nacos/v1/cs/configs/listener", "Listening-Configs="+url.QueryEscape("kept.json\x02DEFAULT_GROUP\x02"+md5+"\x02here\x01"), false)
	fine(fmt.Sprintf("%d streams and %d polls", streams, polls))
	cancel()
	client.CloseIdleConnections()

	before := own()
	conns := make([]net.Conn, 0, crowd)
	for i := range crowd {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", local)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		if i%2 == 0 {
			_, _ = io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: local") // it may be closed by then
		}
	}
	fine(fmt.Sprintf("%d connections", crowd))
	t.Logf("%d connections: %.1f MiB in all", crowd, (own()-before)/1024)
	for _, c := range conns {
		c.Close()
	}
}
