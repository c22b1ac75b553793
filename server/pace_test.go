package server_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/musterhq/muster/server"
)

// A client over HTTP/2 that takes in nothing holds no call for longer than an answer may
// take, however short that is.
func TestAnswersThatNobodyTakesIn(t *testing.T) {
	for name, answer := range map[string]int{"short": 100, "long": 100 << 10} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(server.Paced(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, strings.Repeat("x", answer)) // the client is looked at
			}), 50*time.Millisecond))
			s.EnableHTTP2 = true
			s.StartTLS()
			defer s.Close()
			trust := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
			trust.NextProtos = []string{"h2"}
			conn, err := (&tls.Dialer{Config: trust}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
				t.Fatal(err)
			}
			f := http2.NewFramer(conn, conn)
			if err := f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
				t.Fatal(err)
			}
			var head bytes.Buffer
			e := hpack.NewEncoder(&head)
			for _, h := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/"}} {
				if err := e.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
				t.Fatal(err)
			}
			for {
				frame, err := f.ReadFrame()
				if err != nil {
					t.Fatalf("the call is not ended: %v", err)
				}
				if _, ended := frame.(*http2.RSTStreamFrame); ended {
					return
				}
			}
		})
	}
}
