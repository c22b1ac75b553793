package sdk_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/vo"

	"github.com/musterhq/muster/test/binary"
)

// prompt is how soon a change is told, on a machine that does much else. What tells of
// it is another question: the client lists 10 s after the last push or list.
const prompt = time.Minute

// wantPushed waits for the last push to tell of these instances: a list may have been
// faster.
func wantPushed(t *testing.T, service, want string) {
	t.Helper()
	if !binary.Poll(prompt, func() bool { return logged.pushed(service) == want }, nil) {
		t.Errorf("the last push tells of %q, want %q", logged.pushed(service), want)
	}
}

func TestGoClientIsToldOfEachChange(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := newGoClient(t, s)
	const service = "told-of-each-change"
	known := []string{"192.0.2.1:80"}
	register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.1", Port: 80})
	w := subscribe(t, newGoClient(t, s), service, known[0])
	want := func() {
		t.Helper()
		w.await(t, prompt, strings.Join(known, " "))
		wantPushed(t, service, strings.Join(known, " "))
	}
	for i := range 5 {
		ip := fmt.Sprintf("192.0.2.%d", i+2)
		register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: ip, Port: 80})
		known = append(known, ip+":80")
		want()
	}
	for len(known) > 1 {
		ip, _, _ := strings.Cut(known[0], ":")
		deregister(t, c, service, ip)
		known = slices.Delete(known, 0, 1)
		want()
	}
}

// A datagram of a large service is compressed, and the client reads 4024 bytes of it.
func TestGoClientIsToldOfALargeService(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := newGoClient(t, s)
	const service = "large-service"
	register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.1", Port: 80})
	w := subscribe(t, newGoClient(t, s), service, "192.0.2.1:80")
	known := []string{"192.0.2.1:80"}
	for i := range 60 {
		ip := fmt.Sprintf("192.0.2.%d", i+2)
		s.write(http.MethodPost, "/nacos/v1/ns/instance", instance(service, ip, 80))
		known = append(known, ip+":80")
	}
	want := strings.Join(slices.Sorted(slices.Values(known)), " ")
	w.await(t, prompt, want)
	wantPushed(t, service, want)
}
