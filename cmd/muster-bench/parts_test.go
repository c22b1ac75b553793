package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMixFollowsItsParts(t *testing.T) {
	m, err := parseMix("list=70, beat=20,get=10,publish=0")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for n := range int64(100_000) {
		counts[m.kinds[m.of(7, n)]]++
	}
	for kind, want := range map[string]int{"list": 70_000, "beat": 20_000, "get": 10_000, "publish": 0} {
		if got := counts[kind]; got < want*97/100 || got > want*103/100 {
			t.Errorf("%d calls of kind %s in 100000, want about %d", got, kind, want)
		}
	}
}

func TestDrawIsEvenAndFollowsFromTheSeed(t *testing.T) {
	counts := make([]int, 10)
	for n := range int64(100_000) {
		i := draw(1, n, len(counts))
		if i != draw(1, n, len(counts)) {
			t.Fatal("the same place of the same seed is drawn otherwise")
		}
		counts[i]++
	}
	for i, got := range counts {
		if got < 9_500 || got > 10_500 {
			t.Errorf("%d was drawn %d times, want about 10000", i, got)
		}
	}
}

func TestMembers(t *testing.T) {
	r := roster{namespace: defaultNamespace, prefix: "bench", services: 3, instances: 100_000, groups: 2, metadata: 1}
	want := member{"bench-000001", "GROUP_1", "10.0.1.0", 8080, map[string]string{"key-0": "value-0-of-85"}}
	if diff := cmp.Diff(want, r.member(256), cmp.AllowUnexported(member{})); diff != "" {
		t.Errorf("member(256) (-want +got):\n%s", diff)
	}
	seen := map[string]bool{}
	for n := range r.size() {
		seen[addressOf(n)] = true
	}
	if len(seen) != r.size() {
		t.Errorf("%d instances have %d addresses", r.size(), len(seen))
	}
}

// TestRequests holds what is sent to what clients of Nacos send.
func TestRequests(t *testing.T) {
	r := roster{namespace: "staging", prefix: "bench", services: 1, instances: 1, groups: 1}
	m := r.member(0)
	const who = "ephemeral=true&ip=10.0.0.0&namespaceId=staging&port=8080&serviceName=bench-000000"
	got := func(q request) string { return q.method + " " + q.path + "?" + q.query + q.body }
	for _, c := range []struct{ got, want string }{
		{got(naming{r, "v1", false, false}.register(m)), "POST /nacos/v1/ns/instance?" + who},
		{got(naming{r, "v1", false, true}.beat(m)), "PUT /nacos/v1/ns/instance/beat?" + who},
		{got(naming{r, "v3", false, false}.beat(m)), "POST /nacos/v3/client/ns/instance?" + "ephemeral=true&heartBeat=true&ip=10.0.0.0&namespaceId=staging&port=8080&serviceName=bench-000000"},
		{got(naming{r, "v2", false, false}.deregister(m)), "DELETE /nacos/v2/ns/instance?" + who},
		{got(naming{r, "v2", false, false}.list("a", "G")), "GET /nacos/v2/ns/instance/list?groupName=G&healthyOnly=true&namespaceId=staging&serviceName=a"},
		{got(collection{api: "v1", namespace: "staging"}.get(0)), "GET /nacos/v1/cs/configs?dataId=bench-000000.txt&group=DEFAULT_GROUP&tenant=staging"},
		{got(collection{api: "v2"}.get(0)), "GET /nacos/v2/cs/config?dataId=bench-000000.txt&group=DEFAULT_GROUP"},
		{got(collection{api: "v3"}.get(0)), "GET /nacos/v3/client/cs/config?dataId=bench-000000.txt&groupName=DEFAULT_GROUP"},
		{got(collection{api: "v3"}.publish(0, 1)), "POST /nacos/v3/admin/cs/config?content=1+of+0%0A&dataId=bench-000000.txt&groupName=DEFAULT_GROUP&type=text"},
		{got(collection{api: "v1"}.listen(0, []byte("x"), 1000)),
			"POST /nacos/v1/cs/configs/listener?Listening-Configs=bench-000000.txt%02DEFAULT_GROUP%029dd4e461268c8034f5c8564e155c67a6%01"},
	} {
		if c.got != c.want {
			t.Errorf("request = %s\nwant      %s", c.got, c.want)
		}
	}
}

// TestLogin logs in at a server that refuses calls without its token.
func TestLogin(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/nacos/v1/auth/login" && r.FormValue("username") == "bench" && r.FormValue("password") == "a&b":
			_, _ = io.WriteString(w, `{"accessToken":"t+1","tokenTtl":18000}`)
		case r.URL.Path == "/nacos/v1/ns/instance/list" && r.URL.Query().Get("accessToken") == "t+1":
			_, _ = io.WriteString(w, `{"hosts":[{"ip":"10.0.0.1"}]}`)
		default:
			http.Error(w, "who are you", http.StatusForbidden)
		}
	}))
	defer s.Close()
	list := []string{"muster-bench", "list", "--made", "--server", s.URL, "--rate", "100", "--duration", "100ms"}
	for name, c := range map[string]struct {
		flags []string
		fails bool
	}{
		"with the right password": {[]string{"--username", "bench", "--password", "a&b"}, false},
		"with another one":        {[]string{"--username", "bench", "--password", "a"}, true},
		"without":                 {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			app := newApp()
			app.Writer = io.Discard
			if err := app.RunContext(t.Context(), append(list, c.flags...)); (err != nil) != c.fails {
				t.Errorf("list = %v, want an error: %t", err, c.fails)
			}
		})
	}
}
