package nacos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/nacos"
	"github.com/musterhq/muster/server/nacos/rpc"
	"github.com/musterhq/muster/server/nacos/rpc/rpctest"
	"github.com/musterhq/muster/test/binary"
)

var (
	javaSetup = rpctest.Setup{Version: "Nacos-Java-Client:v3.0.3", Labels: map[string]string{"module": "config"}}
	goSetup   = rpctest.Setup{Version: "Nacos-Go-Client:v2.3.5"}
)

// said is a message and what has to be in its answer: each key with this value, null for
// one that must not be there.
type said struct{ request, body, want string }

// missing returns what an answer lacks of what is wanted.
func lacks(t testing.TB, got []byte, want string) (all []string) {
	t.Helper()
	var g, w map[string]any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	for name, v := range w {
		if has, there := g[name]; v == nil && there || v != nil && !reflect.DeepEqual(has, v) {
			all = append(all, fmt.Sprintf("%s = %v, want %v", name, has, v))
		}
	}
	return all
}

// TestConfigurationOverGRPC has conversations of one client with a server.
func TestConfigurationOverGRPC(t *testing.T) {
	const (
		fine   = `{"resultCode":200,"errorCode":0,"success":true}`
		absent = `{"resultCode":500,"errorCode":300,"success":false,"lastModified":0,"beta":false}`
		a      = `"dataId":"a","group":"g"`
	)
	publish := func(more string) said {
		return said{"ConfigPublishRequest", "{" + a + "," + more + "}", fine}
	}
	query := func(want string) said { return said{"ConfigQueryRequest", "{" + a + "}", want} }
	md5 := func(text string) string { d, _ := config.Sum([]byte(text)); return d }
	for name, c := range map[string]struct {
		client rpctest.Setup
		steps  []said
	}{
		"a document comes and goes": {javaSetup, []said{
			query(absent),
			publish(`"tenant":"public","content":"x: 1 <&>","additionMap":{"type":"yaml","tag":null,"appName":"shop"}`),
			query(`{"content":"x: 1 <&>","contentType":"yaml","md5":"` + md5("x: 1 <&>") + `","beta":false,"isBeta":false,"tag":null,"encryptedDataKey":null}`),
			{"ConfigQueryRequest", `{` + a + `,"tenant":"public"}`, `{"content":"x: 1 <&>"}`},
			{"ConfigQueryRequest", `{` + a + `,"tenant":"other"}`, absent},
			{"ConfigRemoveRequest", `{` + a + `,"tenant":""}`, fine},
			query(absent),
			{"ConfigRemoveRequest", `{` + a + `}`, fine},
		}},
		"what is not strict": {rpctest.Setup{Version: "2.0.0"}, []said{
			{"ConfigPublishRequest", `{"dataId":"a","group":null,"tenant":null,"content":"1","type":"json","headers":{"x":1},"more":[],"additionMap":null}`, fine},
			{"ConfigQueryRequest", `{"dataId":"a","tenant":"null"}`, `{"content":"1","contentType":"json"}`},
			{"ConfigPublishRequest", `{"dataId":"b","group":"g","content":"1","additionMap":{"type":"nonsense"}}`, fine},
			{"ConfigQueryRequest", `{"dataId":"b","group":"g","tag":null}`, `{"contentType":"text"}`},
		}},
		"what cannot be": {javaSetup, []said{
			publish(`"content":"kept"`),
			{"ConfigPublishRequest", `{` + a + `,"content":"  "}`, `{"resultCode":500,"errorCode":400,"success":false}`},
			{"ConfigPublishRequest", `{` + a + `}`, `{"errorCode":400}`},
			{"ConfigPublishRequest", `{"dataId":"a b","group":"g","content":"x"}`, `{"errorCode":400}`},
			{"ConfigPublishRequest", `{"group":"g","content":"x"}`, `{"errorCode":400}`},
			{"ConfigPublishRequest", `{` + a + `,"tenant":"a/b","content":"x"}`, `{"errorCode":400}`},
			{"ConfigPublishRequest", `{` + a + `,"content":{"x":1}}`, `{"errorCode":400}`},
			{"ConfigPublishRequest", `{` + a + `,"content":"x","additionMap":{"desc":"` + strings.Repeat("d", 200) + `"}}`, `{"errorCode":400}`},
			{"ConfigPublishRequest", `{` + a + `,"content":"x","additionMap":{"tag":"no tag"}}`, `{"errorCode":400}`},
			{"ConfigPublishRequest", `{` + a + `,"content":"x","additionMap":{"betaIps":"nowhere"}}`, `{"errorCode":400}`},
			{"ConfigPublishRequest", `{` + a + `,"content":"x","additionMap":[]}`, `{"errorCode":400}`},
			query(`{"content":"kept"}`),
		}},
		"only over what stands": {goSetup, []said{
			publish(`"content":"1","casMd5":""`),
			publish(`"content":"2","casMd5":"` + md5("1") + `"`),
			{"ConfigPublishRequest", `{` + a + `,"content":"3","casMd5":"` + md5("1") + `"}`, `{"resultCode":500,"errorCode":500,"success":false,"message":"Cas publish fail, server md5 may have changed."}`},
			query(`{"content":"2"}`),
		}},
		"what a client has encrypted": {javaSetup, []said{
			{"ConfigPublishRequest", `{"dataId":"cipher-a","group":"g","content":"c2VhbGVk","additionMap":{"encryptedDataKey":"key"}}`, fine},
			{"ConfigQueryRequest", `{"dataId":"cipher-a","group":"g"}`, `{"content":"c2VhbGVk","encryptedDataKey":"key","md5":"` + md5("c2VhbGVk") + `"}`},
		}},
		"a beta for this client": {javaSetup, []said{
			publish(`"content":"all"`),
			publish(`"content":"few","additionMap":{"betaIps":"127.0.0.1,192.0.2.1"}`),
			query(`{"content":"few","beta":true,"isBeta":true,"md5":"` + md5("few") + `"}`),
			{"ConfigBatchListenRequest", `{"configListenContexts":[{` + a + `,"md5":"` + md5("few") + `"}]}`, `{"changedConfigs":[]}`},
			{"ConfigRemoveRequest", `{` + a + `}`, fine},
		}},
		"a beta for others": {goSetup, []said{
			publish(`"content":"all"`),
			publish(`"content":"few","additionMap":{"betaIps":"192.0.2.1"}`),
			query(`{"content":"all","beta":false}`),
		}},
		"a tag that is asked for": {javaSetup, []said{
			publish(`"content":"all"`),
			publish(`"content":"blue one","additionMap":{"tag":"blue"}`),
			query(`{"content":"all","tag":null}`),
			{"ConfigQueryRequest", `{` + a + `,"tag":"blue"}`, `{"content":"blue one","tag":"blue"}`},
			{"ConfigQueryRequest", `{` + a + `,"tag":"green"}`, absent},
			{"ConfigRemoveRequest", `{` + a + `,"tag":"blue"}`, fine},
			{"ConfigQueryRequest", `{` + a + `,"tag":"blue"}`, absent},
			query(`{"content":"all"}`),
		}},
		"a tag is no text for Go": {goSetup, []said{
			publish(`"content":"blue one","additionMap":{"tag":"blue"}`),
			{"ConfigQueryRequest", `{` + a + `,"tag":"blue"}`, `{"content":"blue one","tag":null}`},
		}},
		"a client of a tag": {rpctest.Setup{Version: javaSetup.Version, Labels: map[string]string{"Vipserver-Tag": "blue"}}, []said{
			publish(`"content":"all"`),
			publish(`"content":"blue one","additionMap":{"tag":"blue"}`),
			query(`{"content":"blue one","tag":"blue"}`),
			{"ConfigBatchListenRequest", `{"configListenContexts":[{` + a + `,"md5":"` + md5("all") + `"}]}`, `{"changedConfigs":[{"dataId":"a","group":"g","tenant":""}]}`},
		}},
		"what differs": {javaSetup, []said{
			publish(`"content":"1"`),
			{"ConfigBatchListenRequest", `{"listen":true,"configListenContexts":[{` + a + `,"tenant":"","md5":"` + md5("1") + `"},{` + a + `,"tenant":"public"},{"dataId":"none","group":"g","md5":"x"},{"dataId":"none","group":"h"}]}`,
				`{"resultCode":200,"changedConfigs":[{"dataId":"a","group":"g","tenant":"public"},{"dataId":"none","group":"g","tenant":""}]}`},
			{"ConfigBatchListenRequest", `{"listen":false,"configListenContexts":[{` + a + `}]}`, `{"resultCode":200,"changedConfigs":[]}`},
			{"ConfigBatchListenRequest", `{}`, `{"changedConfigs":[]}`},
			{"ConfigBatchListenRequest", `{"configListenContexts":null}`, `{"changedConfigs":[]}`},
			{"ConfigBatchListenRequest", `{"configListenContexts":7}`, `{"errorCode":400}`},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := newWorld(t).serveGRPC(t)
			client := rpctest.Connect(t, at, rpctest.Options{Setup: c.client})
			for _, s := range c.steps {
				got := client.Call(s.request, s.body)
				if wrong := lacks(t, got.Body, s.want); len(wrong) > 0 {
					t.Errorf("%s %s = %s: %s", s.request, s.body, got.Body, strings.Join(wrong, "; "))
				}
				if want := strings.Replace(strings.TrimSuffix(s.request, "Request")+"Response", "ConfigBatch", "ConfigChangeBatch", 1); got.Type != want {
					t.Errorf("%s is answered by %s, want %s", s.request, got.Type, want)
				}
			}
		})
	}
}

// TestChangesArePushed: each listener is told by the name that it wrote, over HTTP and gRPC.
func TestChangesArePushed(t *testing.T) {
	w := newWorld(t)
	at := w.serveGRPC(t)
	over := w.serve(t)
	one, other, idle := rpctest.Connect(t, at, rpctest.Options{Setup: javaSetup}), rpctest.Connect(t, at, rpctest.Options{Setup: goSetup}), rpctest.Connect(t, at, rpctest.Options{Setup: javaSetup})
	listen := func(c *rpctest.Client, body, want string) {
		t.Helper()
		got := c.Call("ConfigBatchListenRequest", body)
		if wrong := lacks(t, got.Body, want); len(wrong) > 0 {
			t.Errorf("listen %s: %v", body, wrong)
		}
	}
	expect := func(c *rpctest.Client, tenant string) {
		t.Helper()
		push := c.Next("")
		if wrong := lacks(t, push.Body, `{"dataId":"a","group":"g","tenant":"`+tenant+`","module":"config"}`); push.Type != "ConfigChangeNotifyRequest" || len(wrong) > 0 {
			t.Errorf("%s %s is pushed: %v", push.Type, push.Body, wrong)
		}
	}
	const listening = `{"configListenContexts":[{"dataId":"a","group":"g","tenant":%q,"md5":%q}]}`
	listen(one, fmt.Sprintf(listening, "", ""), `{"changedConfigs":[]}`)
	listen(other, fmt.Sprintf(listening, "public", ""), `{"changedConfigs":[]}`)
	listen(idle, strings.Replace(fmt.Sprintf(listening, "", ""), `"a"`, `"b"`, 1), `{"changedConfigs":[]}`)
	if got := do(t, over.URL, "POST /nacos/v1/cs/configs dataId=a&group=g&content=1"); got.body != "true" {
		t.Fatalf("publish = %+v", got)
	}
	expect(one, "")
	expect(other, "public")
	one.CallInto("ConfigPublishRequest", `{"dataId":"a","group":"g","content":"2"}`, new(struct{}))
	expect(one, "")
	expect(other, "public")
	listen(one, `{"listen":false,"configListenContexts":[{"dataId":"a","group":"g"}]}`, `{"resultCode":200}`)
	other.CallInto("ConfigRemoveRequest", `{"dataId":"a","group":"g"}`, new(struct{}))
	expect(other, "public")
	for name, c := range map[string]*rpctest.Client{"who listens no more": one, "who listens to another": idle} {
		c.Call("HealthCheckRequest", nil)
		select {
		case p := <-c.Pushes():
			t.Errorf("%s is told %s %s", name, p.Type, p.Body)
		default:
		}
	}
	other.Close()
	deadline := time.Now().Add(time.Minute)
	for connections := 3; connections != 2; connections, _ = nacos.ListeningOf(w.Handler).Counts() {
		if time.Now().After(deadline) {
			t.Fatal("a connection that ended still listens")
		}
		<-time.After(time.Millisecond)
	}
}

// TestWhoFetchesIsNotToldAgain, though it does not listen anew, as clients of Rust do.
func TestWhoFetchesIsNotToldAgain(t *testing.T) {
	t.Parallel()
	_, at := newGRPC(t)
	c := rpctest.Connect(t, at, rpctest.Options{Setup: rpctest.Setup{Version: "Nacos-Rust-Client:0.6.0"}})
	named := func(dataID string) object { return object{"dataId": dataID, "group": "g", "tenant": ""} }
	content := named("there")
	content["content"] = "1"
	must(t, c, "ConfigPublishRequest", "ConfigPublishResponse", content, nil)
	must(t, c, "ConfigBatchListenRequest", "ConfigChangeBatchListenResponse", object{"listen": true, "configListenContexts": []object{
		named("new"), {"dataId": "there", "group": "g", "tenant": "", "md5": "c4ca4238a0b923820dcc509a6f75849b"}, named("forgotten")}}, nil)
	told := func() string {
		var n struct{ DataID string }
		p := c.Next("ConfigChangeNotifyRequest")
		p.Into(&n)
		p.Ack()
		return n.DataID
	}
	for _, dataID := range []string{"new", "there", "forgotten"} {
		content := named(dataID)
		content["content"] = "2"
		if dataID == "there" { // any more
			must(t, c, "ConfigRemoveRequest", "ConfigRemoveResponse", named(dataID), nil)
		} else {
			must(t, c, "ConfigPublishRequest", "ConfigPublishResponse", content, nil)
		}
		if got := told(); got != dataID {
			t.Fatalf("told of %s, want %s", got, dataID)
		}
		if dataID != "forgotten" {
			c.Call("ConfigQueryRequest", named(dataID))
		}
	}
	for range 2 { // within 3 s, when the others would have come again, too
		if got := told(); got != "forgotten" {
			t.Errorf("told of %s again, which was fetched", got)
		}
	}
}

// guest lets in who shows one of these tokens.
type guests struct {
	mu     sync.Mutex
	tokens map[string]access.Subject
	policy *access.Policy
}

// Identify implements access.Identifier.
func (g *guests) Identify(_ context.Context, c access.Credentials) (access.Subject, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch who, ok := g.tokens[c.Token]; {
	case ok:
		return who, nil
	case c.User != "" && c.Password == "password of "+c.User:
		return access.Subject{Type: access.User, Name: c.User, Roles: []string{c.User}}, nil
	case c.Token == "expired":
		return access.Subject{}, &access.Refused{Reason: access.ReasonExpired}
	}
	return access.Subject{}, &access.Refused{Reason: access.ReasonUnknown}
}

// Policy implements access.Identifier.
func (g *guests) Policy() *access.Policy { return g.policy }

// forget has a token known no more.
func (g *guests) forget(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.tokens, token)
}

// trailOf keeps what is recorded.
type trailOf struct {
	mu  sync.Mutex
	all []string
}

func (r *trailOf) record(c *access.Caller, e audit.Event, _ []audit.Part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, fmt.Sprintf("%s %s %s/%s/%s %s %d", c.Who, e.Op, e.Namespace, e.Group, e.Name, e.Result, e.Status))
}

// taken returns what was recorded since it was asked last.
func (r *trailOf) taken() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	said := strings.Join(r.all, "; ")
	r.all = nil
	return said
}

// TestRightsOverGRPC: who may do what, and what is recorded of it.
func TestRightsOverGRPC(t *testing.T) {
	policy, err := access.NewPolicy(map[string][]access.Rule{
		"dev":  {{Kind: access.Config, Namespace: "dev", Group: "*", Verbs: "rw"}},
		"read": {{Kind: access.Config, Namespace: "dev", Group: "*", Verbs: "r"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	user := func(name string) access.Subject {
		return access.Subject{Type: access.User, Name: name, Roles: []string{name}}
	}
	who := &guests{tokens: map[string]access.Subject{"dev": user("dev"), "read": user("read")}, policy: policy}
	var trail trailOf
	w := newWorld(t, func(c *nacos.Config) { c.Gate, c.Record = &access.Gate{Who: who}, trail.record })
	at := w.serveGRPC(t)
	const (
		publish = `{"dataId":"a","group":"g","tenant":"dev","content":"1"}`
		read    = `{"dataId":"a","group":"g","tenant":"dev"}`
		listen  = `{"configListenContexts":[{"dataId":"a","group":"g","tenant":"dev","md5":""},{"dataId":"a","group":"g","tenant":%q}]}`
	)
	for name, c := range map[string]struct {
		headers        map[string]string
		request, body  string
		code           int
		says, recorded string
	}{
		"nothing":                 {nil, "ConfigQueryRequest", read, 403, "token invalid!", "anonymous nacosGRPCConfigQuery dev/g/a refused 403"},
		"a token":                 {map[string]string{"accessToken": "read"}, "ConfigQueryRequest", read, 300, "", ""},
		"a bearer":                {map[string]string{"Authorization": "Bearer read"}, "ConfigQueryRequest", read, 300, "", ""},
		"user and password":       {map[string]string{"username": "dev", "password": "password of dev"}, "ConfigPublishRequest", strings.Replace(publish, `"a"`, `"p"`, 1), 0, "", "user dev nacosGRPCConfigPublish dev/g/p done 200"},
		"a wrong password":        {map[string]string{"username": "dev", "password": "x"}, "ConfigPublishRequest", publish, 403, "user not found!", "anonymous nacosGRPCConfigPublish dev/g/a refused 403"},
		"an old token":            {map[string]string{"accessToken": "expired"}, "ConfigBatchListenRequest", fmt.Sprintf(listen, "dev"), 403, "token expired!", "anonymous nacosGRPCConfigBatchListen // refused 403"},
		"another token":           {map[string]string{"accessToken": "other"}, "ConfigQueryRequest", read, 403, "user not found!", "anonymous nacosGRPCConfigQuery dev/g/a refused 403"},
		"two tokens":              {map[string]string{"accessToken": "dev", "Authorization": "Bearer read"}, "ConfigQueryRequest", read, 403, "more than once", "anonymous nacosGRPCConfigQuery dev/g/a refused 403"},
		"a right that it has not": {map[string]string{"accessToken": "read"}, "ConfigPublishRequest", publish, 403, "authorization failed!", "user read nacosGRPCConfigPublish dev/g/a refused 403"},
		"to remove":               {map[string]string{"accessToken": "read"}, "ConfigRemoveRequest", read, 403, "may not write", "user read nacosGRPCConfigRemove dev/g/a refused 403"},
		"another namespace":       {map[string]string{"accessToken": "dev"}, "ConfigQueryRequest", `{"dataId":"a","group":"g"}`, 403, "public/g", "user dev nacosGRPCConfigQuery public/g/a refused 403"},
		"one of many":             {map[string]string{"accessToken": "dev"}, "ConfigBatchListenRequest", fmt.Sprintf(listen, "prod"), 0, "", ""},
		"none of many":            {map[string]string{"accessToken": "dev"}, "ConfigBatchListenRequest", strings.ReplaceAll(fmt.Sprintf(listen, "prod"), `"dev"`, `"prod"`), 403, "prod/g", "user dev nacosGRPCConfigBatchListen // refused 403"},
		"all of many":             {map[string]string{"accessToken": "read"}, "ConfigBatchListenRequest", fmt.Sprintf(listen, "dev"), 0, "", ""},
		"bad input":               {map[string]string{"accessToken": "dev"}, "ConfigPublishRequest", `{"dataId":"b","group":"g","tenant":"dev"}`, 400, "blank", "user dev nacosGRPCConfigPublish dev/g/b failed 400"},
		"before the name is read": {nil, "ConfigPublishRequest", `{"dataId":[]}`, 403, "token invalid!", "anonymous nacosGRPCConfigPublish // refused 403"},
	} {
		client := rpctest.Connect(t, at, rpctest.Options{Setup: javaSetup, Headers: c.headers})
		trail.taken()
		got := client.Call(c.request, c.body)
		if got.ErrorCode != c.code || !strings.Contains(got.Message, c.says) || got.Type == "ErrorResponse" {
			t.Errorf("%s: %s = %s %s, want %d with %q", name, c.request, got.Type, got.Body, c.code, c.says)
		}
		if recorded := trail.taken(); recorded != c.recorded {
			t.Errorf("%s: recorded %q, want %q", name, recorded, c.recorded)
		}
		client.Close()
	}
}

// regulars are guests who are known without what they have shown.
type regulars struct{ *guests }

// Renew implements access.Renewer.
func (r regulars) Renew(who access.Subject) (access.Subject, error) {
	return r.Identify(context.Background(), access.Credentials{Token: who.Name})
}

// TestConnectionsOfWhomNobodyKnowsAreSilent: what they registered goes, as of a connection
// that is lost. A session that is over is no reason.
func TestConnectionsOfWhomNobodyKnowsAreSilent(t *testing.T) {
	policy, err := access.NewPolicy(map[string][]access.Rule{"w": {{Kind: access.Naming, Namespace: "*", Group: "*", Verbs: "rw"}}, "none": nil})
	if err != nil {
		t.Fatal(err)
	}
	user := func(name, role string) access.Subject {
		return access.Subject{Type: access.User, Name: name, Roles: []string{role}}
	}
	who := &guests{tokens: map[string]access.Subject{"gone": user("gone", "w"), "barred": user("barred", "w"), "stays": user("stays", "w"), "session": user("stays", "w")}, policy: policy}
	w := newWorld(t, func(c *nacos.Config) { c.Gate = &access.Gate{Who: regulars{who}} })
	at := w.serveGRPC(t)
	witness := map[string]string{}
	for _, token := range []string{"gone", "barred", "session"} {
		c := rpctest.Connect(t, at, rpctest.Options{Headers: map[string]string{"accessToken": token}})
		register(t, c, instanceOf(token, "192.0.2.1", "metadata", object{"preserved.heart.beat.interval": 300, "preserved.heart.beat.timeout": 60000, "preserved.ip.delete.timeout": 90000}))
		snap := w.reg.Snapshot()
		witness[token] = snap.HeldBy(snap.Instance(instanceKey(token, "192.0.2.1")))
	}
	// heard waits until the judge has heard of the one that stays n times, and returns of whom
	// else it has.
	heard := func(n int) string {
		var others []string
		binary.Eventually(t, rpctest.Wait, "word of a connection", func() bool {
			for _, of := range w.roll.Take() {
				for token, id := range witness {
					switch {
					case !strings.Contains(of, id):
					case token == "session":
						n--
					default:
						others = append(others, token)
					}
				}
			}
			return n <= 0
		})
		slices.Sort(others)
		return strings.Join(slices.Compact(others), " ")
	}
	if got := heard(3); got != "barred gone" {
		t.Fatalf("heard of %q, want of all", got)
	}
	who.forget("gone")
	who.forget("session") // its user is there
	who.mu.Lock()
	who.tokens["barred"] = user("barred", "none")
	who.mu.Unlock()
	heard(2) // what was under way
	if got := heard(3); got != "" {
		t.Errorf("heard of %q, who may not register any more", got)
	}
}

// TestAConnectionVouchesForWhatItMayRegister, and not for the rest of what it has, for as
// long as its user may not register that.
func TestAConnectionVouchesForWhatItMayRegister(t *testing.T) {
	all := access.Rule{Kind: access.Naming, Namespace: "*", Group: "*", Verbs: "rw"}
	policy, err := access.NewPolicy(map[string][]access.Rule{"w": {all}, "less": {all, {Kind: access.Naming, Namespace: "public", Group: "barred", Verbs: "rw", Deny: true}}})
	if err != nil {
		t.Fatal(err)
	}
	who := &guests{tokens: map[string]access.Subject{}, policy: policy}
	may := func(role string) {
		who.mu.Lock()
		defer who.mu.Unlock()
		who.tokens["u"] = access.Subject{Type: access.User, Name: "u", Roles: []string{role}}
	}
	may("w")
	w := newWorld(t, func(c *nacos.Config) { c.Gate = &access.Gate{Who: regulars{who}} })
	at := w.serveGRPC(t)
	c := rpctest.Connect(t, at, rpctest.Options{Headers: map[string]string{"accessToken": "u"}})
	often := object{registry.MetaBeatInterval: 300, registry.MetaBeatTimeout: 60000, registry.MetaDeleteAfter: 60000}
	register(t, c, instanceOf("order-api", "192.0.2.1", "metadata", often))
	barred := instanceOf("billing", "192.0.2.1", "metadata", often)
	barred["groupName"] = "barred"
	register(t, c, barred)
	k, kept := instanceKey("billing", "192.0.2.1"), instanceKey("order-api", "192.0.2.1")
	k.Service.Group = "barred"
	holder := func(snap *registry.Snapshot, k registry.InstanceKey) string {
		if i := snap.Instance(k); i != nil {
			return snap.HeldBy(i)
		}
		return "absent"
	}
	id := holder(w.reg.Snapshot(), kept)
	for name, judge := range map[string]func(registry.Roster, int64) error{
		"before its time is over": func(registry.Roster, int64) error { return nil },
		"after it":                func(ro registry.Roster, seen int64) error { return w.reg.Remove(t.Context(), ro, seen) },
	} {
		if got := holder(w.reg.Snapshot(), k); got != id {
			t.Fatalf("held by %q, want %q", got, id)
		}
		may("less")
		w.until(t, "the connection does not vouch for it", func(snap *registry.Snapshot) bool { return holder(snap, k) != id })
		snap := w.reg.Snapshot()
		ro, judged := snap.Roster(snap.Instance(k))
		if !judged {
			t.Fatal("nobody judges it")
		}
		if err := judge(ro, snap.Revision()); err != nil {
			t.Fatal(err)
		}
		w.roll.Take()
		words := 0
		binary.Eventually(t, rpctest.Wait, "word of the connection", func() bool {
			for _, of := range w.roll.Take() {
				if of == ro.Witness {
					t.Error("it is vouched for")
				}
				words++
			}
			return words > 2
		})
		if got := holder(w.reg.Snapshot(), kept); got != id {
			t.Errorf("what it may register is held by %q, want %q", got, id)
		}
		may("w")
		w.until(t, "it vouches for it again, which it lost "+name, func(snap *registry.Snapshot) bool { return holder(snap, k) == id })
	}
}

// TestRevokedListenersAreToldNothing: a push tells that a document changed, which who may
// not read it any more need not know.
func TestRevokedListenersAreToldNothing(t *testing.T) {
	policy, err := access.NewPolicy(map[string][]access.Rule{"dev": {{Kind: access.Config, Namespace: "*", Group: "*", Verbs: "rw"}}})
	if err != nil {
		t.Fatal(err)
	}
	user := access.Subject{Type: access.User, Name: "u", Roles: []string{"dev"}}
	who := &guests{tokens: map[string]access.Subject{"one": user, "two": user}, policy: policy}
	w := newWorld(t, func(c *nacos.Config) { c.Gate = &access.Gate{Who: who} })
	at := w.serveGRPC(t)
	var clients []*rpctest.Client
	for _, token := range []string{"one", "two"} {
		c := rpctest.Connect(t, at, rpctest.Options{Setup: javaSetup, Headers: map[string]string{"accessToken": token}})
		c.CallInto("ConfigBatchListenRequest", `{"configListenContexts":[{"dataId":"a","group":"g"}]}`, new(struct{}))
		clients = append(clients, c)
	}
	one, two := clients[0], clients[1]
	two.CallInto("ConfigPublishRequest", `{"dataId":"a","group":"g","content":"1"}`, new(struct{}))
	one.Next("ConfigChangeNotifyRequest")
	two.Next("ConfigChangeNotifyRequest")
	who.forget("one")
	two.CallInto("ConfigPublishRequest", `{"dataId":"a","group":"g","content":"2"}`, new(struct{}))
	two.Next("ConfigChangeNotifyRequest")
	if got := one.Call("HealthCheckRequest", nil); got.ErrorCode != 0 {
		t.Errorf("the connection is %s %s, want it to stay", got.Type, got.Body)
	}
	select {
	case p := <-one.Pushes():
		t.Errorf("who may not read any more is told %s", p.Body)
	default:
	}
	const read = `{"dataId":"a","group":"g"}`
	if got := one.Call("ConfigQueryRequest", read); got.ErrorCode != http.StatusForbidden {
		t.Errorf("it reads %s", got.Body)
	}
	// Once it has logged in again, it is told what it missed.
	again, err := one.Try(t.Context(), rpc.Payload{Type: "ConfigQueryRequest", Headers: map[string]string{"accessToken": "two"}, Body: []byte(`{"dataId":"other","group":"g"}`)})
	if err != nil || again.ErrorCode != 300 {
		t.Errorf("with another token it reads %s, %v", again.Body, err)
	}
	one.Next("ConfigChangeNotifyRequest")
}

// TestWhoMayNotReadOneDocumentListensToTheOthers: clients listen to all of their documents
// by one message, and would be told of none.
func TestWhoMayNotReadOneDocumentListensToTheOthers(t *testing.T) {
	policy, err := access.NewPolicy(map[string][]access.Rule{
		"some": {{Kind: access.Config, Namespace: "*", Group: "open", Verbs: "r"}}, "all": {{Kind: access.Config, Namespace: "*", Group: "*", Verbs: "rw"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	who := &guests{tokens: map[string]access.Subject{}, policy: policy}
	for _, name := range []string{"some", "all"} {
		who.tokens[name] = access.Subject{Type: access.User, Name: name, Roles: []string{name}}
	}
	w := newWorld(t, func(c *nacos.Config) { c.Gate = &access.Gate{Who: who} })
	base, at := w.serve(t).URL+"/nacos", w.serveGRPC(t)
	connect := func(token string) *rpctest.Client {
		return rpctest.Connect(t, at, rpctest.Options{Setup: javaSetup, Headers: map[string]string{"accessToken": token}})
	}
	some, all := connect("some"), connect("all")
	publish := func(group, content string) {
		all.CallInto("ConfigPublishRequest", fmt.Sprintf(`{"dataId":"a","group":%q,"content":%q}`, group, content), new(struct{}))
	}
	publish("shut", "1")
	publish("open", "1")
	var answer struct{ ChangedConfigs []struct{ Group string } }
	some.CallInto("ConfigBatchListenRequest", `{"configListenContexts":[{"dataId":"a","group":"shut"},{"dataId":"a","group":"open"}]}`, &answer)
	if fmt.Sprint(answer) != "{[{open}]}" {
		t.Errorf("changed: %v, want the document that it may read", answer)
	}
	publish("shut", "2")
	publish("open", "2")
	var told struct{ Group string }
	if some.Next("ConfigChangeNotifyRequest").Into(&told); told.Group != "open" {
		t.Errorf("told of group %q, which it may not read", told.Group)
	}
	const poll = "POST /v1/cs/configs/listener Listening-Configs=a%02shut%02%01a%02open%02%01"
	if got := do(t, base, poll, "accessToken: some", "Long-Pulling-Timeout: 1000"); got.status != http.StatusOK || got.body != "a%02open%01\n" {
		t.Errorf("over HTTP: %d %q, want the document that it may read", got.status, got.body)
	}
	if got := do(t, base, strings.Replace(poll, "open", "shut", 1), "accessToken: some"); got.status != http.StatusForbidden {
		t.Errorf("none that it may read: %d %s, want 403", got.status, got.body)
	}
}

// FuzzConfigMessages: whatever a body says, a document has a namespace and a group, and is
// meant by the pattern that is its name.
func FuzzConfigMessages(f *testing.F) {
	for _, body := range []string{
		`{"dataId":"a","group":"g","tenant":"public","content":"x","casMd5":null,"additionMap":{"type":"yaml","tag":null,"n":1}}`,
		`{"listen":true,"configListenContexts":[{"dataId":"a","group":"g","md5":"x"},{"dataId":"b","tenant":"dev"},null]}`, `{"dataId":1,"tenant":true}`, `{}`, `[]`, `null`, ``,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, k := range nacos.ReadConfigMessages(body) {
			if k.Namespace == "" || k.Group == "" {
				t.Errorf("%q names %q", body, k)
			}
			if k.Validate() == nil && !nacos.Matches(k.Namespace+">>"+k.Group+">>"+k.DataID, k) {
				t.Errorf("%q is not meant by its own name", k)
			}
		}
	})
}
