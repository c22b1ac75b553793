package linear_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/musterhq/muster/api"
)

// recorder keeps what clients asked and were told, by document.
type recorder struct {
	began time.Time

	mu        sync.Mutex
	histories map[string][]porcupine.Operation // under mu
	unknown   int                              // under mu: writes
	failed    error                            // under mu: the first answer that nobody may get
}

// do makes one call of a client and records it. learned is false when nothing came
// of it for sure.
func (r *recorder) do(c *client, id string, in input) (out output, learned bool) {
	call := time.Since(r.began)
	out, learned, err := c.call(id, in)
	end := time.Since(r.began)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && r.failed == nil {
		r.failed = err
	}
	if err != nil || !learned {
		return out, false
	}
	o := porcupine.Operation{ClientId: c.number, Input: in, Output: out, Call: call.Nanoseconds(), Return: end.Nanoseconds()}
	if out.unknown { // it may be done at any time, or never, which is after all that is known
		o.Return = math.MaxInt64
		r.unknown++
	}
	r.histories[id] = append(r.histories[id], o)
	return out, !out.unknown
}

// client is one client. It uses both APIs.
type client struct {
	number int
	url    string
	http   *http.Client
	calls  int
	known  map[string]string // the content of documents, as it was last told or said
}

func newClient(number int, server string, transport http.RoundTripper) *client {
	return &client{number: number, url: "http://" + server, known: make(map[string]string),
		http: &http.Client{Timeout: 5 * time.Second, Transport: transport}}
}

// run calls for some documents until ctx ends.
func (c *client) run(ctx context.Context, r *recorder, ids []string) {
	for ctx.Err() == nil {
		id := ids[rand.IntN(len(ids))]
		in := c.draw(id)
		out, learned := r.do(c, id, in)
		switch {
		case !learned:
			c.awaitReady(ctx)
		case in.kind == get:
			c.known[id] = out.content
		case !out.refused && in.content != "":
			c.known[id] = in.content
		}
		rest(ctx, time.Duration(rand.IntN(4))*time.Millisecond)
	}
}

// draw chooses what to do.
func (c *client) draw(id string) input {
	in := input{kind: kind(rand.IntN(int(kinds) + 2))}
	if in.kind >= kinds { // reads are what shows losses
		in.kind = get
	}
	c.calls++
	switch in.kind {
	case publish, publishIfMD5, publishMatch, create:
		in.content = fmt.Sprintf("%d.%d", c.number, c.calls)
	}
	switch in.kind {
	case publishIfMD5, publishMatch, removeMatch:
		if in.expected = c.known[id]; in.expected == "" {
			in.expected = "none"
		}
	}
	return in
}

// awaitReady waits until the server takes calls again, as clients do, so that few of
// their writes end in the dark.
func (c *client) awaitReady(ctx context.Context) {
	for ctx.Err() == nil {
		rest(ctx, 5*time.Millisecond)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/readyz", http.NoBody)
		if err != nil {
			return
		}
		if resp, err := c.http.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// call makes one call. learned is false when it has done nothing and told nothing.
func (c *client) call(id string, in input) (out output, learned bool, err error) {
	req, err := c.request(id, in)
	if err != nil {
		return out, false, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		unsent := errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &op) && op.Op == "dial"
		return output{unknown: true}, in.kind != get && !unsent, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return output{unknown: true}, in.kind != get, nil
	}
	return read(in, resp, string(body))
}

// read reads an answer.
func read(in input, resp *http.Response, body string) (out output, learned bool, err error) {
	status := resp.StatusCode
	switch {
	case status == http.StatusServiceUnavailable, resp.Header.Get(api.HeaderLagging) == "true":
		return output{unknown: true}, in.kind != get, nil
	case in.kind == publishIfMD5 && status == http.StatusInternalServerError && body == "false",
		in.conditional() && status == http.StatusPreconditionFailed:
		return output{refused: true}, true, nil
	case status == http.StatusNotFound && (in.kind == get || in.kind == removeMatch || in.kind == remove):
		return output{absent: true}, true, nil
	case status/100 != 2:
		return out, false, fmt.Errorf("%s: %s %s", words[in.kind], resp.Status, body)
	case in.kind == get:
		return output{content: body}, true, nil
	}
	return out, true, nil
}

func (i input) conditional() bool {
	return i.kind == publishMatch || i.kind == create || i.kind == removeMatch
}

// request writes a call by the API of Nacos where that has it, else by our own; a read
// or a delete by either.
func (c *client) request(id string, in input) (*http.Request, error) {
	form := url.Values{"dataId": {id}, "group": {"g"}}
	nacos := c.url + "/nacos/v1/cs/configs"
	own := c.url + strings.NewReplacer("{namespace}", "public", "{group}", "g", "{dataId}", id).Replace(api.PathConfig)
	method, to, body, header := "", own, in.content, http.Header{}
	either := rand.IntN(2) == 0
	switch in.kind {
	case publish, publishIfMD5:
		form.Set("content", in.content)
		method, to, body = http.MethodPost, nacos, form.Encode()
		header.Set("Content-Type", "application/x-www-form-urlencoded")
		if in.kind == publishIfMD5 {
			header.Set("casMd5", sum(in.expected))
		}
	case publishMatch:
		method = http.MethodPut
		header.Set("If-Match", `"`+sum(in.expected)+`"`)
	case create:
		method = http.MethodPut
		header.Set("If-None-Match", "*")
	case remove:
		method = http.MethodDelete
		if either {
			to = nacos + "?" + form.Encode()
		}
	case removeMatch:
		method = http.MethodDelete
		header.Set("If-Match", `"`+sum(in.expected)+`"`)
	case get:
		method = http.MethodGet
		if either {
			to = nacos + "?" + form.Encode()
		}
	}
	// What is under way at the end of a round is not cut off.
	req, err := http.NewRequestWithContext(context.Background(), method, to, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "text/plain")
	}
	req.Header = header
	return req, nil
}

func sum(content string) string {
	b := md5.Sum([]byte(content))
	return hex.EncodeToString(b[:])
}
