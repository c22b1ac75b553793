package rpc_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/musterhq/muster/server/nacos/rpc"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
)

// raw is a client that writes the frames of HTTP/2 itself, as it pleases.
type raw struct {
	t      *testing.T
	conn   net.Conn
	frames *http2.Framer
	table  *hpack.Decoder
	said   map[uint32][]byte // by stream, what was not taken yet
	status map[uint32]string // by stream, grpc-status
}

func dialRaw(t *testing.T, at string, settings ...http2.Setting) *raw {
	t.Helper()
	return dialRawFrom(t, "127.0.0.1", at, settings...)
}

// dialRawFrom is dialRaw from another address of this machine.
func dialRawFrom(t *testing.T, from, at string, settings ...http2.Setting) *raw {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(rpctest.Wait)); err != nil {
		t.Fatal(err)
	}
	r := &raw{t: t, conn: conn, frames: http2.NewFramer(conn, conn), table: hpack.NewDecoder(4096, nil), said: map[uint32][]byte{}, status: map[uint32]string{}}
	r.write([]byte(http2.ClientPreface))
	r.must(r.frames.WriteSettings(settings...))
	return r
}

func (r *raw) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) write(b []byte) {
	r.t.Helper()
	_, err := r.conn.Write(b)
	r.must(err)
}

// open opens a stream of a method; fields come on top of what gRPC asks for.
func (r *raw) open(stream uint32, path string, fields ...string) {
	r.t.Helper()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	all := append([]string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "nacos.example", "content-type", "application/grpc", "te", "trailers"}, fields...)
	for i := 0; i < len(all); i += 2 {
		r.must(enc.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]}))
	}
	r.must(r.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true}))
}

// say sends a message on a stream.
func (r *raw) say(stream uint32, end bool, typ, body string) {
	r.t.Helper()
	r.data(stream, end, message(rpc.Payload{Type: typ, Body: []byte(body)}))
}

// message returns a message with the prefix of gRPC.
func message(p rpc.Payload) []byte {
	b := p.Append(nil)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...)
}

func (r *raw) data(stream uint32, end bool, b []byte) {
	r.t.Helper()
	r.must(r.frames.WriteData(stream, end, b))
}

// call makes a call and returns the response.
func (r *raw) call(stream uint32, typ, body string) (string, string) {
	r.t.Helper()
	r.open(stream, "/Request/request")
	r.say(stream, true, typ, body)
	return r.next(stream)
}

// next returns the next message of a stream.
func (r *raw) next(stream uint32) (typ, body string) {
	r.t.Helper()
	for {
		if b := r.said[stream]; len(b) >= 5 && uint32(len(b)-5) >= binary.BigEndian.Uint32(b[1:]) {
			n := 5 + binary.BigEndian.Uint32(b[1:])
			p, err := rpc.ParsePayload(b[5:n])
			r.must(err)
			r.said[stream] = b[n:]
			return p.Type, string(p.Body)
		}
		if status, ended := r.status[stream]; ended {
			r.t.Fatalf("stream %d ended with status %s before its message", stream, status)
		}
		r.must(r.read())
	}
}

// ended returns the status with which a stream ends.
func (r *raw) ended(stream uint32) string {
	r.t.Helper()
	for {
		if status, ended := r.status[stream]; ended {
			return status
		}
		if err := r.read(); err != nil {
			return err.Error()
		}
	}
}

// read takes in one frame.
func (r *raw) read() error {
	frame, err := r.frames.ReadFrame()
	if err != nil {
		return err
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return r.frames.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return r.frames.WritePing(true, f.Data)
		}
	case *http2.DataFrame:
		r.said[f.StreamID] = append(r.said[f.StreamID], f.Data()...)
	case *http2.HeadersFrame:
		fields, err := r.table.DecodeFull(f.HeaderBlockFragment())
		if err != nil {
			return err
		}
		for _, h := range fields {
			if h.Name == "grpc-status" {
				r.status[f.StreamID] = h.Value
			}
		}
	case *http2.RSTStreamFrame:
		r.status[f.StreamID] = "reset: " + f.ErrCode.String()
	case *http2.GoAwayFrame:
		return fmt.Errorf("the server goes away: %s", f.ErrCode)
	}
	return nil
}

// closed waits until the server has closed the connection.
func (r *raw) closed() {
	r.t.Helper()
	for {
		err := r.read()
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			r.t.Fatal("the server does not close the connection")
		}
		if err != nil {
			return
		}
	}
}

// quietClients are connections that set up and say nothing more.
func quietClients(t *testing.T, at string, n int) []*raw {
	t.Helper()
	all := make([]*raw, n)
	for i := range all {
		all[i] = dialRaw(t, at)
		all[i].open(1, "/BiRequestStream/requestBiStream")
		all[i].say(1, false, "ConnectionSetupRequest", `{"clientVersion":"Nacos-Java-Client:v2.0.4","labels":{"module":"naming"}}`)
	}
	return all
}

// The first messages of a client of the 2.0 line, which knows nothing of abilities: the
// server must send it nothing that it does not know.
func TestHandshakeWithoutAbilities(t *testing.T) {
	e := newEcho()
	_, at := serve(t, rpc.Config{Handler: e, Abilities: map[string]bool{"lock": true}})
	r := dialRaw(t, at)
	typ, body := r.call(1, "ServerCheckRequest", `{"headers":{},"module":"internal"}`)
	var check struct{ ConnectionID string }
	if typ != "ServerCheckResponse" || json.Unmarshal([]byte(body), &check) != nil || check.ConnectionID == "" {
		t.Fatalf("ServerCheckRequest = %s %s, want the id of the connection", typ, body)
	}
	r.open(3, "/BiRequestStream/requestBiStream")
	r.say(3, false, "ConnectionSetupRequest", `{"headers":{},"clientVersion":"Nacos-Java-Client:v2.0.4","abilities":{"remoteAbility":{"supportRemoteConnection":false}},"tenant":"dev","labels":{"source":"sdk","module":"naming"},"module":"internal"}`)
	conn := next(t, e.joined, "the connection")
	if is := conn.Client(); conn.ID() != check.ConnectionID || is.Version != "Nacos-Java-Client:v2.0.4" || is.Tenant != "dev" || is.Labels["module"] != "naming" || is.Abilities != nil {
		t.Errorf("connection %s of %+v, want %s of what it said", conn.ID(), is, check.ConnectionID)
	}
	if typ, body := r.call(5, "HealthCheckRequest", `{"headers":{}}`); typ != "HealthCheckResponse" || !strings.Contains(body, `"resultCode":200`) {
		t.Errorf("HealthCheckRequest = %s %s", typ, body)
	}
	conn.Push("NotifySubscriberRequest", []byte(`{}`), time.Minute, func(error) {})
	if typ, body := r.next(3); typ != "NotifySubscriberRequest" {
		t.Errorf("first message on the stream = %s %s, want the push", typ, body)
	}
}

// The first messages of a client from 2.3 on, which waits for what the server can do.
func TestHandshakeWithAbilities(t *testing.T) {
	for name, tt := range map[string]struct{ table, want string }{
		"a table":        {`{"lock":true,"fuzzyWatch":true,"mcp":false}`, `{"abilityTable":{"supportPersistentInstanceByGrpc":true},"headers":{}}`},
		"an empty table": {`{}`, `{"abilityTable":{"supportPersistentInstanceByGrpc":true},"headers":{}}`},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEcho()
			_, at := serve(t, rpc.Config{Handler: e, Abilities: map[string]bool{"supportPersistentInstanceByGrpc": true}})
			r := dialRaw(t, at)
			if typ, body := r.call(1, "ServerCheckRequest", `{}`); !strings.Contains(body, `"supportAbilityNegotiation":true`) {
				t.Fatalf("ServerCheckRequest = %s %s, want that abilities are negotiated", typ, body)
			}
			r.open(3, "/BiRequestStream/requestBiStream")
			setup := `{"clientVersion":"Nacos-Java-Client:v3.0.3","tenant":"","labels":{"source":"sdk"},"abilityTable":` + tt.table + `}`
			r.say(3, false, "ConnectionSetupRequest", setup)
			if typ, body := r.next(3); typ != "SetupAckRequest" || body != tt.want {
				t.Errorf("first message on the stream = %s %s, want %s", typ, body, tt.want)
			}
			conn := next(t, e.joined, "the connection")
			if conn.Client().Abilities == nil {
				t.Error("the abilities of the client are lost")
			}
			r.say(3, false, "ConnectionSetupRequest", setup) // once more changes nothing
			if typ, _ := r.next(3); typ != "SetupAckRequest" {
				t.Errorf("answer to a second setup = %s, want SetupAckRequest", typ)
			}
			if typ, body := r.call(5, "EchoRequest", `{}`); typ != "EchoResponse" || len(e.joined) > 0 || len(e.left) > 0 {
				t.Errorf("after a second setup: %s %s", typ, body)
			}
		})
	}
}
