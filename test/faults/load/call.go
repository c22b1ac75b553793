// Package load drives servers as their users do, and writes down what they saw.
package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/test/faults/history"
)

// Target is a server as its users know it.
type Target struct {
	Name string
	URL  string
	DNS  string // host:port
}

// reply is an answer of any kind.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// call sends one request to one server. body may be nil.
func call(ctx context.Context, client *http.Client, method, address string, query url.Values, body any) (reply, error) {
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	var content io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return reply{}, err
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return reply{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, b}, err
}

// revision returns the revision an answer was made at, 0 when it does not say.
func (r reply) revision() int64 {
	n, _ := strconv.ParseInt(r.header.Get(api.HeaderRevision), 10, 64)
	return n
}

// age returns the published age, negative when there is none.
func (r reply) age() time.Duration {
	seconds, err := strconv.ParseFloat(r.header.Get(api.HeaderAge), 64)
	if err != nil {
		return -1
	}
	return time.Duration(seconds * float64(time.Second))
}

// String returns status and the begin of the body.
func (r reply) String() string { return fmt.Sprintf("%d %.160s", r.status, r.body) }

// outcome says what the caller of a write may conclude. A server that answers
// 503 may have sent the write on to a store that then said nothing.
func outcome(r reply, err error) (result history.Outcome, retryable bool, detail string) {
	switch {
	case err != nil && unsent(err):
		return history.Refused, true, err.Error()
	case err != nil:
		return history.Unknown, false, err.Error()
	case r.status < 300:
		return history.Done, false, ""
	case r.status == http.StatusServiceUnavailable:
		return history.Unknown, true, r.String()
	case r.status == http.StatusTooManyRequests:
		return history.Refused, true, r.String()
	case r.status < 500 || r.status == http.StatusInsufficientStorage:
		return history.Refused, false, r.String()
	}
	return history.Unknown, false, r.String()
}

// unsent reports whether a call failed before anything of it was sent.
func unsent(err error) bool {
	var op *net.OpError
	return errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &op) && op.Op == "dial"
}

// newHTTP returns a client as an SDK has one: it waits for so long, and keeps
// connections.
func newHTTP(timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second}}
}
