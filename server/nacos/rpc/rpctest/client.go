// Package rpctest is a client of Nacos's gRPC for tests: it shows what a server sends,
// message by message, where an SDK would hide it.
package rpctest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"

	"github.com/musterhq/muster/server/nacos/rpc"
)

// Wait is for how long the client waits for what must come: it only ends a failed test.
const Wait = time.Minute

// Setup is the ConnectionSetupRequest of a client.
type Setup struct {
	Version string            `json:"clientVersion,omitempty"`
	Tenant  string            `json:"tenant"`
	Labels  map[string]string `json:"labels,omitempty"`
	// Abilities are sent where they are not nil: the client waits for the server's then.
	Abilities map[string]bool `json:"abilityTable,omitzero"`
}

// Options are how a client is.
type Options struct {
	Setup   Setup
	Headers map[string]string                // of every request, such as accessToken
	TLS     credentials.TransportCredentials // nil: plain
	// Manual leaves acknowledging to the test: see Push.Ack. Else each push is
	// acknowledged as it comes.
	Manual bool
}

// Client is a connection. Its methods end the test on what must not be.
type Client struct {
	t       testing.TB
	conn    *grpc.ClientConn
	stream  grpc.ClientStream
	options Options
	pushes  chan Push
	ended   chan struct{}

	mu sync.Mutex // one sends at a time
}

// Push is a message that the server sent on the stream.
type Push struct {
	Type string
	Body []byte
	ID   string // requestId

	client *Client
}

// Dial opens a connection that has not set up. The test closes it at its end.
func Dial(t testing.TB, address string, o Options) *Client {
	t.Helper()
	if o.TLS == nil {
		o.TLS = insecure.NewCredentials()
	}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(o.TLS),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{t: t, conn: conn, options: o, pushes: make(chan Push, 4096), ended: make(chan struct{})}
	t.Cleanup(c.Close)
	return c
}

// Connect opens a connection that has set up, and waits until the server knows.
func Connect(t testing.TB, address string, o Options) *Client {
	t.Helper()
	c := Dial(t, address, o)
	if got := c.Call("ServerCheckRequest", nil); got.Type != "ServerCheckResponse" {
		t.Fatalf("ServerCheckRequest = %s %s", got.Type, got.Body)
	}
	c.SetUp()
	if o.Setup.Abilities != nil {
		c.Next("SetupAckRequest")
	}
	if got := c.Call("HealthCheckRequest", nil); got.Type != "HealthCheckResponse" {
		t.Fatalf("HealthCheckRequest after the setup = %s %s", got.Type, got.Body)
	}
	return c
}

// SetUp opens the stream and sends the setup.
func (c *Client) SetUp() {
	c.t.Helper()
	c.OpenStream()
	c.Say("ConnectionSetupRequest", c.options.Setup)
}

// OpenStream opens the stream and says nothing on it.
func (c *Client) OpenStream() {
	c.t.Helper()
	stream, err := c.conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/BiRequestStream/requestBiStream")
	if err != nil {
		c.t.Fatal(err)
	}
	c.stream = stream
	go c.receive(stream, c.ended)
}

// Say sends a message on the stream.
func (c *Client) Say(typ string, body any) {
	c.t.Helper()
	if err := c.say(rpc.Payload{Type: typ, Headers: c.options.Headers, Body: encode(c.t, body)}); err != nil {
		c.t.Fatalf("say %s: %v", typ, err)
	}
}

func (c *Client) say(p rpc.Payload) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stream.SendMsg(&p)
}

// receive hands on what the server sends, until the stream ends.
func (c *Client) receive(stream grpc.ClientStream, ended chan struct{}) {
	defer close(ended)
	for {
		var p rpc.Payload
		if stream.RecvMsg(&p) != nil {
			return
		}
		if err := strict(p.Body); err != nil {
			c.t.Errorf("%s: %v: %s", p.Type, err, p.Body)
		}
		push := Push{Type: p.Type, Body: p.Body, client: c}
		var b struct {
			RequestID string `json:"requestId"`
		}
		_ = json.Unmarshal(p.Body, &b) // strict has said so
		push.ID = b.RequestID
		if !c.options.Manual && push.ID != "" {
			push.Ack()
		}
		c.pushes <- push
	}
}

// Ack acknowledges a push.
func (p Push) Ack() { p.Answer(200) }

// Answer answers a push with a result code.
func (p Push) Answer(code int) {
	b := fmt.Sprintf(`{"requestId":%q,"resultCode":%d,"errorCode":0,"success":%v}`, p.ID, code, code == 200)
	_ = p.client.say(rpc.Payload{Type: p.Type[:max(0, len(p.Type)-len("Request"))] + "Response", Body: []byte(b)}) // it may have ended
}

// Into decodes the body.
func (p Push) Into(v any) {
	p.client.t.Helper()
	if err := json.Unmarshal(p.Body, v); err != nil {
		p.client.t.Fatalf("%s: %v: %s", p.Type, err, p.Body)
	}
}

// Next waits for the next message of that type and passes over others, "" for any.
func (c *Client) Next(typ string) Push {
	c.t.Helper()
	late := time.After(Wait)
	for {
		select {
		case p := <-c.pushes:
			if typ == "" || p.Type == typ {
				return p
			}
		case <-late:
			c.t.Fatalf("no %s came", typ)
		}
	}
}

// Pushes are the messages that came and were not taken yet.
func (c *Client) Pushes() <-chan Push { return c.pushes }

// Ended is closed when the stream has ended.
func (c *Client) Ended() <-chan struct{} { return c.ended }

// Close closes the connection.
func (c *Client) Close() { _ = c.conn.Close() } // it may be closed already

// Answer is a response.
type Answer struct {
	Type string
	Body []byte
	rpc.Result
}

// Call sends a request on a call of its own and returns the response.
func (c *Client) Call(typ string, body any) Answer {
	c.t.Helper()
	a, err := c.Try(context.Background(), rpc.Payload{Type: typ, Headers: c.options.Headers, Body: encode(c.t, body)})
	if err != nil {
		c.t.Fatalf("%s: %v", typ, err)
	}
	return a
}

// CallInto is Call that decodes the response, and wants it to be fine.
func (c *Client) CallInto(typ string, body, into any) {
	c.t.Helper()
	a := c.Call(typ, body)
	if !a.Success {
		c.t.Fatalf("%s = %s %s", typ, a.Type, a.Body)
	}
	if err := json.Unmarshal(a.Body, into); err != nil {
		c.t.Fatalf("%s: %v: %s", typ, err, a.Body)
	}
}

// Try sends any message, and returns the error of the call.
func (c *Client) Try(ctx context.Context, p rpc.Payload) (Answer, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, Wait)
	defer cancel()
	var got rpc.Payload
	if err := c.conn.Invoke(ctx, "/Request/request", &p, &got); err != nil {
		return Answer{}, err
	}
	if err := strict(got.Body); err != nil {
		c.t.Errorf("%s: %v: %s", got.Type, err, got.Body)
	}
	a := Answer{Type: got.Type, Body: got.Body}
	var codes struct {
		ResultCode, ErrorCode *int
		Success               *bool
		Message               string
	}
	if err := json.Unmarshal(got.Body, &codes); err != nil || codes.ResultCode == nil || codes.ErrorCode == nil || codes.Success == nil {
		c.t.Errorf("%s lacks one of its codes (%v): %s", got.Type, err, got.Body)
		return a, nil
	}
	a.Result = rpc.Result{ResultCode: *codes.ResultCode, ErrorCode: *codes.ErrorCode, Success: *codes.Success, Message: codes.Message}
	if fine := a.ResultCode == 200; fine != a.Success || fine != (a.ErrorCode == 0) {
		c.t.Errorf("the codes of %s contradict each other: %s", got.Type, got.Body)
	}
	return a, nil
}

// encode returns a body as JSON; bytes are sent as they are.
func encode(t testing.TB, body any) []byte {
	t.Helper()
	switch body := body.(type) {
	case nil:
		return []byte("{}")
	case []byte:
		return body
	case string:
		return []byte(body)
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// strict returns an error for what strict clients do not take: null anywhere.
func strict(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	for {
		token, err := dec.Token()
		switch {
		case err != nil && dec.InputOffset() >= int64(len(body)):
			return nil
		case err != nil:
			return err
		case token == nil:
			return fmt.Errorf("null at byte %d", dec.InputOffset())
		}
	}
}

// codec reads and writes payloads.
type codec struct{}

var _ encoding.CodecV2 = codec{}
