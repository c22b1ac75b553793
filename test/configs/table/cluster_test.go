package table_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/musterhq/muster/test/binary"
	"github.com/musterhq/muster/test/strange"
	"github.com/musterhq/muster/test/targets"
)

// TestTwoServers has a poll held at each of two servers: each wakes for a publish at
// the other, and says who listens anywhere.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	etcd, err := binary.BuildEtcd(t.Context(), "../../..")
	if err != nil {
		t.Fatal(err)
	}
	store := binary.StartEtcd(t, etcd, targets.FreeAddress(t), targets.FreeAddress(t))
	a, b := start(t, "--etcd", store.URL), start(t, "--etcd", store.URL)
	at := func(s *binary.Server) string { return "http://" + s.HTTP + "/nacos" }
	one := poll(t, at(a), "d\x02g\x02\x01", "192.0.2.1")
	two := poll(t, at(b), "d\x02g\x02\x01", "192.0.2.2")
	for _, s := range []*binary.Server{a, b} {
		s.Await("a poll", func() bool {
			return strings.Contains(read(t, at(s)+"/actuator/prometheus"), "nacos_monitor{module=\"config\",name=\"longPolling\"} 1\n")
		})
	}
	if status, body, err := strange.Ask(t, http.MethodPost, at(b)+"/v1/cs/configs?dataId=d&group=g&content=hello"); status != http.StatusOK || err != nil {
		t.Fatalf("publish = %d %s, %v", status, body, err)
	}
	for _, held := range []<-chan polled{one, two} {
		if got := <-held; got.body != "d%02g%01\n" {
			t.Errorf("a poll = %q after %v, want the document", got.body, got.took)
		}
	}
	const hello = "5d41402abc4b2a76b9719d911017c592"
	for server, ip := range map[*binary.Server]string{a: "192.0.2.1", b: "192.0.2.2"} {
		got := <-poll(t, at(server), "d\x02g\x02"+hello+"\x01e\x02g\x02old\x01", ip)
		if got.body != "e%02g%01\n" {
			t.Errorf("a poll = %q, want another document", got.body)
		}
	}
	for _, s := range []*binary.Server{a, b} {
		var got string
		s.Await("both who listen", func() bool { // servers find each other
			got = read(t, at(s)+"/v1/cs/configs/listener?dataId=d&group=g")
			return strings.Contains(got, `"192.0.2.1":"`+hello+`"`) && strings.Contains(got, `"192.0.2.2":"`+hello+`"`)
		})
		if got := read(t, at(s)+"/v3/admin/cs/listener?ip=192.0.2.1"); !strings.Contains(got, `"d+g":"`+hello+`"`) {
			t.Errorf("listened to by an address = %s", got)
		}
	}
}
