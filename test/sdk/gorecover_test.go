package sdk_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/nacos-group/nacos-sdk-go/vo"
)

// The client lists every 10 s, give or take the second between two looks at its
// clock, and later on a machine that does much else.
const poll = time.Minute

func TestGoClientOutlivesACrashOfTheServer(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := newGoClient(t, s)
	const service = "outlives-a-crash"
	register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.1", Port: 80, Weight: 3})
	w := subscribe(t, newGoClient(t, s), service, "192.0.2.1:80")

	s.Kill()
	s.RestartServer()
	const kept = "192.0.2.1:80 cluster DEFAULT weight 3 healthy true metadata map[]"
	if got := s.list("public", service); got != kept {
		t.Errorf("once the server is ready again it lists %q, want %q", got, kept)
	}
	s.write(http.MethodPost, "/nacos/v1/ns/instance", instance(service, "192.0.2.2", 80))
	w.await(t, poll, "192.0.2.1:80 192.0.2.2:80")
	// That list enrolled it anew.
	s.write(http.MethodPost, "/nacos/v1/ns/instance", instance(service, "192.0.2.3", 80))
	w.await(t, prompt, "192.0.2.1:80 192.0.2.2:80 192.0.2.3:80")
	wantPushed(t, service, "192.0.2.1:80 192.0.2.2:80 192.0.2.3:80")
	// Those that nobody beats for go, the other stays.
	s.awaitList(2*time.Minute, "public", service, kept)
	w.await(t, poll, "192.0.2.1:80")
	w.neverEmpty(t)
}

func TestGoClientBringsBackWhatTheServerLost(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := newGoClient(t, s)
	const service = "brought-back"
	register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.1", Port: 80, Weight: 3, ClusterName: "bj",
		Metadata: map[string]string{"range": "10%;x=y"}})
	w := subscribe(t, newGoClient(t, s), service, "192.0.2.1:80")
	const was = "192.0.2.1:80 cluster bj weight 3 healthy true metadata map[range:10%;x=y]"
	s.awaitList(prompt, "public", service, was)

	s.Kill()
	s.Forget()
	s.RestartServer()
	// The first beat may have met the server while it was not ready.
	s.awaitList(poll, "public", service, was)
	register(t, c, vo.RegisterInstanceParam{ServiceName: service, Ip: "192.0.2.2", Port: 80})
	w.await(t, poll, "192.0.2.1:80 192.0.2.2:80")
}
