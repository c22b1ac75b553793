package agent_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/test/binary"
)

// kept is a document that the agent of these tests keeps in memory.
const keptDocument = "files: [{data_id: kept.json, namespace: here}, {data_id: kept.json, namespace: there}]\n"

// answer is what a call got.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends "METHOD /path?query" with the part after a blank as form body; NS in it
// is the namespace. Headers are "Name: value".
func ask(t *testing.T, base, call, namespace string, headers ...string) answer {
	t.Helper()
	method, target, _ := strings.Cut(strings.ReplaceAll(call, "NS", namespace), " ")
	target, body, _ := strings.Cut(target, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+base+"/nacos"+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, strings.ReplaceAll(string(b), namespace, "NS")}
}

// differs are the parts of answers that may: when it was, how often clients poll
// who are told of nothing, and ids that are made of the namespace too.
var differs = regexp.MustCompile(`"(lastRefTime|cacheMillis)":\d+|"timestamp":"[^"]*"|"id":"\d+"`)

// alike are the headers that clients read.
var alike = []string{"Content-Type", "Config-Type", "Content-MD5", "Cache-Control", "Pragma", "Expires", "Authorization"}

func (a answer) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", a.status)
	for _, name := range alike {
		fmt.Fprintf(&b, "%s: %s\n", name, a.header.Get(name))
	}
	return b.String() + differs.ReplaceAllString(a.body, `"$1":…`)
}

// startNacos starts a server, and an agent of it that keeps a document.
func startNacos(t *testing.T) (*binary.Server, *binary.Process, string) {
	t.Helper()
	server, _ := start(t)
	data := t.TempDir()
	agent := startAgent(t, server, data, keptDocument)
	return server, agent, agentAPI(t, agent, data)
}

// The same calls get the same answers from an agent as from a server.
func TestNacosAnswersAsTheServer(t *testing.T) {
	server, agent, local := startNacos(t)
	settled := func(path string) {
		t.Helper()
		agent.Await("the agent knows "+path, func() bool {
			return ask(t, local, path, "here").header.Get("Last-Modified") == ""
		})
	}
	listener := func(words ...string) string {
		return "POST /v1/cs/configs/listener Listening-Configs=" + url.QueryEscape(strings.Join(words, "\x02")+"\x01")
	}
	long := "Long-Pulling-Timeout: 30000"
	for _, call := range []struct {
		text    string
		headers []string
		before  func()
	}{
		{text: "GET /v1/ns/operator/metrics"},
		{text: "POST /v1/auth/users/login?username=u password=p"},
		{text: "POST /v1/auth/login?username=u password=p"},
		{text: "GET /v1/console/health/readiness"},
		{text: "GET /v1/ns/instance/list?serviceName=pay&namespaceId=NS"},
		{text: "GET /v1/ns/instance/list?serviceName=pay&namespaceId=NS&clusters=b,a&env=x&udpPort=5555&clientIP=10.0.0.1", headers: []string{"User-Agent: Nacos-Java-Client:v1.4.8"}},
		{text: "POST /v1/ns/instance serviceName=pay&namespaceId=NS&ip=192.0.2.1&port=80&weight=2&metadata=%7B%22a%22%3A%22b%22%7D&clusterName=bj"},
		{text: "POST /v1/ns/instance?serviceName=g2@@pay&namespaceId=NS&ip=192.0.2.2&port=81&metadata=k=v,k2=v2"},
		{text: "POST /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.3&port=80&enabled=false"},
		{text: "POST /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.4&port=80&healthy=false"},
		{text: "POST /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.5&port=0&weight=0"},
		{text: "GET /v1/ns/instance/list?serviceName=pay&namespaceId=NS"},
		{text: "GET /v1/ns/instance/list?serviceName=pay&namespaceId=NS", headers: []string{"User-Agent: Nacos-Java-Client:v1.4.8"}},
		{text: "GET /v1/ns/instance/list?serviceName=pay&namespaceId=NS&clusters=bj"},
		{text: "GET /v1/ns/instance/list?serviceName=pay&namespaceId=NS&healthyOnly=true"},
		{text: "GET /v1/ns/instance/list?serviceName=g2@@pay&namespaceId=NS"},
		{text: "GET /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.1&port=80&clusterName=bj"},
		{text: "GET /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.9&port=80"},
		{text: "GET /v1/ns/service?serviceName=pay&namespaceId=NS"},
		{text: "GET /v1/ns/service/list?pageNo=1&pageSize=10&namespaceId=NS"},
		{text: "PUT /v1/ns/instance/beat?serviceName=pay&namespaceId=NS&ip=192.0.2.9&port=80"},
		{text: "PUT /v1/ns/instance/beat?serviceName=pay&namespaceId=NS&ip=192.0.2.4&port=80"},
		{text: `PUT /v1/ns/instance/beat serviceName=pay&namespaceId=NS&beat={"ip":"192.0.2.6","port":"80","cluster":"c","weight":1.5,"metadata":{"preserved.heart.beat.interval":"2000"}}`},
		{text: `PUT /v1/ns/instance/beat namespaceId=NS&beat={"serviceName":"DEFAULT_GROUP@@pay","ip":"192.0.2.6","port":80}`},
		{text: "GET /v1/ns/instance/list?serviceName=pay&namespaceId=NS"},
		{text: "POST /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.1&port=80&clusterName=sh&weight=7"},
		{text: "DELETE /v1/ns/instance?serviceName=g2@@pay&namespaceId=NS&ip=192.0.2.2&port=81"},
		{text: "DELETE /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.99&port=81"},
		{text: "GET /v1/ns/instance/list?serviceName=g2@@pay&namespaceId=NS"},
		{text: "GET /v1/ns/instance/list?serviceName=pay&namespaceId=NS"},

		{text: "POST /v1/ns/instance?serviceName=pay&namespaceId=NS&port=80"},
		{text: "POST /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.1"},
		{text: "POST /v1/ns/instance?namespaceId=NS&ip=192.0.2.1&port=80"},
		{text: "POST /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.1&port=abc"},
		{text: "POST /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.1.1&port=80"},
		{text: "POST /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.1&port=80&weight=10001"},
		{text: "POST /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.1&port=80&weight=x"},
		{text: "POST /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.1&port=80&clusterName=a_b"},
		{text: "POST /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.1&port=80&metadata=x"},
		{text: "POST /v1/ns/instance?serviceName=pay&namespaceId=NS&ip=192.0.2.1&port=80&metadata=preserved.heart.beat.timeout=3000,preserved.heart.beat.interval=5000"},
		{text: "POST /v1/ns/instance?serviceName=@@pay&namespaceId=NS&ip=192.0.2.1&port=80"},
		{text: "POST /v1/ns/instance?serviceName=p%20ay&namespaceId=NS&ip=192.0.2.1&port=80"},
		{text: "POST /v1/ns/instance?serviceName=pay&namespaceId=..%2F&ip=192.0.2.1&port=80"},
		{text: "POST /v1/ns/instance?serviceName=" + strings.Repeat("x", 513) + "&namespaceId=NS&ip=192.0.2.1&port=80"},
		{text: "PUT /v1/ns/instance/beat serviceName=pay&namespaceId=NS&beat={{"},
		{text: "GET /v1/ns/nothing?namespaceId=NS"},
		{text: "GET /v1/nothing"},

		{text: "POST /v1/ns/instance?serviceName=db&namespaceId=NS&ip=192.0.2.1&port=3306&ephemeral=false"},
		{text: "GET /v1/ns/service?serviceName=db&namespaceId=NS"},
		{text: "POST /v1/ns/instance?serviceName=db&namespaceId=NS&ip=192.0.2.2&port=3306&ephemeral=false&healthy=true"},
		{text: "DELETE /v1/ns/instance?serviceName=db&namespaceId=NS&ip=192.0.2.2&port=3306&ephemeral=false"},

		{text: "GET /v1/cs/configs?dataId=app.yaml&group=G&tenant=NS"},
		{text: "POST /v1/cs/configs?dataId=app.yaml&group=G&tenant=NS content=a%3A+1%0A&type=yaml"},
		{text: "GET /v1/cs/configs?dataId=app.yaml&group=G&tenant=NS"},
		{text: "GET /v1/cs/configs?search=blur&dataId=app*&group=&tenant=NS&pageNo=1&pageSize=10"},
		{text: "POST /v1/cs/configs?dataId=a%20b&group=G&tenant=NS content=x"},
		{text: "POST /v1/cs/configs?dataId=app.yaml&group=G&tenant=NS"},
		{text: listener("app.yaml", "G", "", "NS"), headers: []string{long}},
		{text: listener("app.yaml", "G", "0bfba2a1bb6ee8b5b2b4c4ba1cb1e8f4", "NS") + "%01", headers: []string{long}},
		{text: listener("none.yaml", "G", "", "NS"), headers: []string{long, "Long-Pulling-Timeout-No-Hangup: true"}},
		{text: listener("none.yaml", "G", "", "NS")},
		{text: listener("none.yaml"), headers: []string{long}},
		{text: "POST /v1/cs/configs/listener", headers: []string{long}},
		{text: "DELETE /v1/cs/configs?dataId=app.yaml&group=G&tenant=NS"},
		{text: "GET /v1/cs/configs?dataId=app.yaml&group=G&tenant=NS"},

		{text: `POST /v1/cs/configs?dataId=kept.json&group=DEFAULT_GROUP&tenant=NS content={"a":1}&type=json`},
		{before: func() { settled("GET /v1/cs/configs?dataId=kept.json&group=DEFAULT_GROUP&tenant=NS") },
			text: "GET /v1/cs/configs?dataId=kept.json&group=DEFAULT_GROUP&tenant=NS"},
		{text: `POST /v1/cs/configs?dataId=kept.json&group=DEFAULT_GROUP&tenant=NS content={"a":2}&type=json`},
		{text: "GET /v1/cs/configs?dataId=kept.json&group=DEFAULT_GROUP&tenant=NS"},
		{text: listener("kept.json", "DEFAULT_GROUP", "", "NS"), headers: []string{long}},
		{text: "DELETE /v1/cs/configs?dataId=kept.json&group=DEFAULT_GROUP&tenant=NS"},
		{text: "GET /v1/cs/configs?dataId=kept.json&group=DEFAULT_GROUP&tenant=NS"},
	} {
		if call.before != nil {
			call.before()
		}
		there, here := ask(t, server.HTTP, call.text, "there", call.headers...), ask(t, local, call.text, "here", call.headers...)
		if there.String() != here.String() {
			t.Errorf("%s\nserver: %s\nagent:  %s", call.text, there, here)
		}
	}
}

// A client's instances live on while the server is away, and its lists are the
// last known.
func TestNacosWhileTheServerIsAway(t *testing.T) {
	server, agent, local := startNacos(t)
	register := "POST /v1/ns/instance?serviceName=pay&ip=192.0.2.1&port=80&metadata=preserved.heart.beat.interval=500,preserved.heart.beat.timeout=%d,preserved.ip.delete.timeout=%d"
	list := "GET /v1/ns/instance/list?serviceName=pay"
	want := func(base string, status int, texts ...string) {
		t.Helper()
		agent.Await(fmt.Sprint("the list of ", base), func() bool {
			a := ask(t, base, list, "none")
			for _, text := range texts {
				if !strings.Contains(a.body, text) {
					return false
				}
			}
			return a.status == status
		})
	}
	if a := ask(t, local, fmt.Sprintf(register, 60000, 60000), "none"); a.body != "ok" {
		t.Fatalf("register = %d %s", a.status, a.body)
	}
	if a := ask(t, local, list, "none"); !strings.Contains(a.body, `"ip":"192.0.2.1"`) {
		t.Errorf("list after the registration = %d %s, want the instance", a.status, a.body)
	}
	server.Kill()
	a := ask(t, local, list, "none")
	if a.status != http.StatusOK || !strings.Contains(a.body, `"ip":"192.0.2.1"`) || a.header.Get("Muster-Stale") != "true" {
		t.Errorf("list while the server is away = %d %v %s, want the last known", a.status, a.header, a.body)
	}
	if a := ask(t, local, "GET /v1/ns/instance/list?serviceName=never", "none"); a.status != http.StatusServiceUnavailable {
		t.Errorf("list that nobody asked for before = %d %s, want 503", a.status, a.body)
	}
	if a := ask(t, local, "POST /v1/ns/instance?serviceName=pay&ip=192.0.2.2&port=80", "none"); a.body != "ok" {
		t.Errorf("register while the server is away = %d %s, want ok", a.status, a.body)
	}
	if a := ask(t, local, "PUT /v1/ns/instance/beat?serviceName=pay&ip=192.0.2.2&port=80", "none"); !strings.Contains(a.body, "10200") {
		t.Errorf("beat while the server is away = %d %s, want 10200", a.status, a.body)
	}
	if a := ask(t, local, "GET /v1/cs/configs?dataId=app.yaml&group=G", "none"); a.status != http.StatusServiceUnavailable {
		t.Errorf("a document while the server is away = %d %s, want 503", a.status, a.body)
	}

	// The agent's own restart loses nothing.
	agent.Kill()
	agent.Restart()
	server.RestartServer()
	want(server.HTTP, http.StatusOK, `"ip":"192.0.2.1"`, `"ip":"192.0.2.2"`)
}

// Who falls silent is unhealthy, and then withdrawn.
func TestNacosSilence(t *testing.T) {
	server, agent, local := startNacos(t)
	a := ask(t, local, "POST /v1/ns/instance?serviceName=pay&ip=192.0.2.1&port=80&metadata=preserved.heart.beat.interval=500,preserved.heart.beat.timeout=1000,preserved.ip.delete.timeout=4000", "none")
	if a.body != "ok" {
		t.Fatalf("register = %d %s", a.status, a.body)
	}
	began := time.Now()
	hosts := func() (all []struct{ Healthy bool }) {
		var l struct{ Hosts []struct{ Healthy bool } }
		_ = json.Unmarshal([]byte(ask(t, server.HTTP, "GET /v1/ns/instance/list?serviceName=pay", "none").body), &l)
		return l.Hosts
	}
	agent.Await("unhealthy", func() bool { all := hosts(); return len(all) == 1 && !all[0].Healthy })
	agent.Await("a beat heals", func() bool {
		ask(t, local, "PUT /v1/ns/instance/beat?serviceName=pay&ip=192.0.2.1&port=80", "none")
		all := hosts()
		return len(all) == 1 && all[0].Healthy
	})
	agent.Await("withdrawn", func() bool { return len(hosts()) == 0 })
	t.Logf("silent, healed and withdrawn within %v", time.Since(began))
	if a := ask(t, local, "PUT /v1/ns/instance/beat?serviceName=pay&ip=192.0.2.1&port=80", "none"); !strings.Contains(a.body, "20404") {
		t.Errorf("light beat of what was withdrawn = %s, want 20404", a.body)
	}
}

// A poll over kept and other documents ends with a change of either.
func TestNacosLongPoll(t *testing.T) {
	server, _, local := startNacos(t)
	for i, document := range []string{"kept.json", "other.json"} {
		words := ""
		for _, name := range []string{"kept.json", "other.json"} {
			md5 := ""
			if i > 0 && name == "kept.json" {
				md5 = ask(t, server.HTTP, "GET /v1/cs/configs?dataId=kept.json&group=DEFAULT_GROUP&tenant=here", "none").header.Get("Content-MD5")
			}
			words += name + "\x02DEFAULT_GROUP\x02" + md5 + "\x02here\x01"
		}
		got := make(chan answer, 1)
		go func() {
			got <- ask(t, local, "POST /v1/cs/configs/listener Listening-Configs="+url.QueryEscape(words), "none", "Long-Pulling-Timeout: 60000")
		}()
		select {
		case a := <-got:
			t.Fatalf("poll = %s, want it held", a)
		case <-time.After(500 * time.Millisecond): // enough to be held by, no harm if not
		}
		if a := ask(t, server.HTTP, "POST /v1/cs/configs?dataId="+document+"&group=DEFAULT_GROUP&tenant=here content="+strconv.Itoa(i), "none"); a.body != "true" {
			t.Fatalf("publish = %s", a)
		}
		if a := <-got; a.body != document+"%02DEFAULT_GROUP%02here%01\n" {
			t.Errorf("poll after a change of %s = %s", document, a)
		}
	}
}
