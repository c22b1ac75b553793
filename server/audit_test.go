package server_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/server"
)

const form = "application/x-www-form-urlencoded"

// recorded returns what the log of a data directory says of calls, oldest first.
func recorded(t *testing.T, dir string) []audit.Record {
	t.Helper()
	page, err := audit.Find(filepath.Join(dir, audit.Dir), audit.Query{})
	if err != nil || page.Unsound > 0 {
		t.Fatalf("Find = %d unsound, %v", page.Unsound, err)
	}
	slices.Reverse(page.Records)
	return slices.DeleteFunc(page.Records, func(r audit.Record) bool { return strings.HasPrefix(r.Op, "audit-") })
}

func TestChangesAreRecorded(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, server.Config{DataDir: dir})
	at := base(s)
	const secret = "hunter2"
	for _, tc := range []struct {
		method, target, kind, body string
		want                       string // op, result, status, namespace, group, name, item and whether it has a revision; "" when nothing is recorded
	}{
		{"PUT", "/v1/namespaces/team", "application/json", `{"name":"` + secret + `"}`, "put-namespace done 200 team    true"},
		{"PUT", "/v1/services/public/g/s", "application/json", `{}`, "put-service done 200 public g s  true"},
		{"PUT", "/v1/services/public/g/s?dryRun=true", "application/json", `{"protectThreshold":0.5}`, "put-service done 200 public g s  false dry"},
		{"PUT", "/v1/services/public/g/s", "application/json", `{"protectThreshold":7}`, "put-service failed 422 public g s  false"},
		{"PUT", "/v1/services/public/g/s/instances/192.0.2.1:80", "application/json", `{}`, "put-instance done 200 public g s 192.0.2.1:80 true"},
		{"POST", "/v1/services/public/g/s/instances/192.0.2.1:80/beat", "", "", ""},
		{"GET", "/v1/services", "", "", ""},
		{"PUT", "/v1/configs/public/g/app.properties", "text/plain", "password=" + secret, "put-config done 200 public g app.properties  true"},
		{"POST", "/v1/configs-watch", "application/json", `{"configs":[]}`, ""},
		{"DELETE", "/v1/configs/public/g/nothing", "", "", "delete-config failed 404 public g nothing  false"},
		{"POST", "/nacos/v1/ns/instance?serviceName=n&ip=192.0.2.2&port=81", "", "", "nacosRegisterInstance done 200   n 192.0.2.2:81 true"},
		{"POST", "/nacos/v3/client/ns/instance?serviceName=n&ip=192.0.2.2&port=81&heartBeat=true", "", "", ""},
		{"PUT", "/nacos/v1/ns/instance/beat?serviceName=n&ip=192.0.2.2&port=81", "", "", ""},
		{"PUT", "/nacos/v1/ns/instance/beat", form, `serviceName=n&beat={"ip":"192.0.2.3","port":82,"serviceName":"n"}`, "nacosBeat done 200 public DEFAULT_GROUP n 192.0.2.3:82 false"},
		{"PUT", "/nacos/v1/ns/instance/beat", form, `serviceName=n&beat={"ip":"192.0.2.3","port":82,"serviceName":"n"}`, ""},
		{"POST", "/nacos/v1/cs/configs", form, "dataId=d&group=g&tenant=team&content=" + secret, "nacosPublishConfig done 200 team g d  true"},
		{"POST", "/nacos/v1/cs/configs", form, "dataId=d&group=g", "nacosPublishConfig failed 400  g d  false"},
		{"POST", "/nacos/v1/console/namespaces", form, "customNamespaceId=b%20d&namespaceName=x", "nacosCreateNamespace failed 200 b d    false"},
		{"POST", "/nacos/v1/auth/users/login", form, "username=nacos&password=" + secret, "nacosLogin done 200     false by nacos"},
		{"GET", "/nacos/v1/ns/instance/list?serviceName=n", "", "", ""},
		{"GET", "/nacos/v2/core/loader/cluster", "", "", ""},
		{"GET", "/nacos/v2/core/loader/reloadCurrent?count=0", "", "", "nacosReloadCurrentV2 done 200     false"},
	} {
		before := len(recorded(t, dir))
		call(t, tc.method, at+tc.target, tc.kind, strings.NewReader(tc.body))
		got := ""
		for _, r := range recorded(t, dir)[before:] { // at once: it is there before the answer is
			got += fmt.Sprintf("%s %s %d %s %s %s %s %v", r.Op, r.Result, r.Status, r.Namespace, r.Group, r.Name, r.Item, r.Revision > 0)
			if r.DryRun {
				got += " dry"
			}
			if r.Who != "" {
				got += " by " + r.Who
			}
			if r.From != "127.0.0.1" || r.Kind == "" {
				t.Errorf("%s %s: from %q, kind %q", tc.method, tc.target, r.From, r.Kind)
			}
		}
		if got != tc.want {
			t.Errorf("%s %s: recorded %q, want %q", tc.method, tc.target, got, tc.want)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, audit.Dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files = %q, %v", files, err)
	}
	if content, err := os.ReadFile(files[0]); err != nil || strings.Contains(string(content), secret) {
		t.Errorf("the log holds what is not its to tell, or %v", err)
	}
	st := s.Status().Audit
	if r, err := audit.Verify(filepath.Join(dir, audit.Dir), audit.Head{Seq: st.Seq, Hash: st.Hash}); err != nil || !r.OK() || r.Head.Seq != st.Seq {
		t.Errorf("Verify = %+v, %v; the status says %+v", r, err, st)
	}
}

func TestRefusalsAreRecorded(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, server.Config{DataDir: dir})
	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, base(s)+"/v1/services/public/g/s?token=hunter2", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Fatalf("a page's write = %d, want 403", resp.StatusCode)
		}
	}
	all := recorded(t, dir)
	if len(all) != 1 || all[0].Op != "PUT" || all[0].Name != "/v1/services/public/g/s" || all[0].Result != audit.Refused {
		t.Errorf("recorded %+v, want one refused PUT", all)
	}
}

// What a call names in its body, or has made, is what its record is about.
func TestRecordsNameWhatWasMade(t *testing.T) {
	dir := t.TempDir()
	s, _ := startAfter(t, server.Config{HTTP: "127.0.0.1:0", Auth: "on", DataDir: dir}, func(*server.Server) {})
	admin := as(t, s, "admin", adminSecret(t, dir))
	made, err := admin.AddToken(t.Context(), api.TokenSpec{Subject: "web-1"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := admin.RotateKeys(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.AddToken(t.Context(), api.TokenSpec{Subject: "web-2", Roles: []string{"none"}}); !isStatus(err, http.StatusNotFound) {
		t.Fatalf("AddToken with a role that is not there = %v, want 404", err)
	}
	if _, err := admin.AddMember(t.Context(), api.MemberSpec{Name: "b", Peer: "no address"}); err == nil {
		t.Fatal("a member without an address is added")
	}
	var got []string
	for _, r := range recorded(t, dir) {
		if r.Op != "login" {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Op, r.Result, r.Name, r.Item)))
		}
	}
	want := []string{"add-token done web-1 " + made.ID, "rotate-keys done " + key.ID, "add-token failed web-2", "add-member failed b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the log says (-want +got):\n%s", diff)
	}
}

// Why a login is refused is recorded, whichever way it comes.
func TestRefusedLoginsSayWhy(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, server.Config{Auth: "on", DataDir: dir})
	for _, c := range []struct{ path, kind, body string }{
		{api.PathLogin, "application/json", `{"user":"ann","password":"hunter2"}`},
		{"/nacos/v1/auth/login", "application/x-www-form-urlencoded", "username=ann&password=hunter2"},
	} {
		resp, err := http.Post(base(s)+c.path, c.kind, strings.NewReader(c.body)) //nolint:noctx // it ends with the server
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	all := recorded(t, dir)
	if len(all) != 2 {
		t.Fatalf("recorded %+v, want both logins", all)
	}
	for _, r := range all {
		if r.Result != audit.Refused || r.Why != "user, password or token is not known" {
			t.Errorf("recorded %+v, want it refused, and why", r)
		}
	}
}

// Whoever names a token where its id is wanted, or as a path, does not leave it in the log.
// Ids that are no operation's would have the log hold what they are to keep out.
func TestTokensAreNotRecorded(t *testing.T) {
	dir := t.TempDir()
	s, _ := startAfter(t, server.Config{HTTP: "127.0.0.1:0", Auth: "on", DataDir: dir}, func(*server.Server) {})
	secret := adminSecret(t, dir)
	admin := as(t, s, "admin", secret)
	session, err := admin.Login(t.Context(), "admin", secret)
	if err != nil {
		t.Fatal(err)
	}
	made, err := admin.AddToken(t.Context(), api.TokenSpec{Subject: "web-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.RevokeToken(t.Context(), made.Token); !isStatus(err, http.StatusNotFound) {
		t.Fatalf("RevokeToken of a token in place of its id = %v, want 404", err)
	}
	for _, token := range []string{made.Token, session.Token} {
		if status, _, _ := callAs(t, session.Token, http.MethodDelete, base(s)+"/v1/members/"+token, "", ""); status < http.StatusBadRequest {
			t.Fatalf("DELETE of member %.8s = %d, want that it fails", token, status)
		}
	}
	all := recorded(t, dir)
	for _, r := range all {
		if text := fmt.Sprintf("%+v", r); strings.Contains(text, made.Token) || strings.Contains(text, session.Token) {
			t.Errorf("the log has a token: %+v", r)
		}
	}
	if !slices.ContainsFunc(all, func(r audit.Record) bool { return r.Op == "revoke-token" && r.Name == "mst_***" }) {
		t.Errorf("the log has no revoke-token of mst_***: %+v", all)
	}
}

func TestUnchangingOperationsExist(t *testing.T) {
	s := running(t)
	_, text := get(t, base(s)+"/openapi.json")
	doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, path := range doc.Paths.Map() {
		for _, o := range path.Operations() {
			known[o.OperationID] = true
		}
	}
	for _, id := range server.Unchanging() {
		if !known[id] {
			t.Errorf("%s is no operation", id)
		}
	}
}

// The log falls into a new file that cannot be made, as its directory is gone.
func TestRequiredAudit(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, server.Config{DataDir: dir, Audit: server.Audit{Required: true, MaxSize: "64KiB"}})
	c := dial(t, s)
	in := api.Instance{Address: "192.0.2.1", Port: 80}
	if _, err := c.Register(t.Context(), client.Name{Name: "s"}, in); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, audit.Dir)); err != nil {
		t.Fatal(err)
	}
	put := func(name string) (int, string) {
		status, _, body := call(t, http.MethodPut, base(s)+"/v1/services/public/g/"+name, "application/json", strings.NewReader(`{"protectThreshold":7}`))
		return status, body
	}
	var status int
	var body string
	for i := 0; status != http.StatusServiceUnavailable; i++ {
		if i == 1000 {
			t.Fatal("the log never fell into a new file")
		}
		status, body = put(fmt.Sprint(i))
	}
	if !strings.Contains(body, "the audit log cannot be written") {
		t.Errorf("a change that cannot be recorded = %s, want why", body)
	}
	status, _, body = call(t, http.MethodPost, base(s)+"/nacos/v1/ns/instance?serviceName=n&ip=192.0.2.2&port=81", "", http.NoBody)
	if status != http.StatusServiceUnavailable {
		t.Errorf("a registration that cannot be recorded = %d %s, want 503", status, body)
	}
	if status, body := get(t, base(s)+"/v1/services"); status != http.StatusOK {
		t.Errorf("a read = %d %s", status, body)
	}
	if status, _, body := call(t, http.MethodPost, base(s)+"/v1/services/public/DEFAULT_GROUP/s/instances/192.0.2.1:80/beat", "", http.NoBody); status >= 300 {
		t.Errorf("a beat = %d %s", status, body)
	}
	if s.Status().Audit.Failing == "" {
		t.Error("the status does not say that the log cannot be written")
	}
	if err := os.Mkdir(filepath.Join(dir, audit.Dir), 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "changes are taken again", func() bool {
		status, _ := put("s")
		return status == http.StatusUnprocessableEntity
	})
}

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) has(text string) bool { return j.count(text) > 0 }

// count returns how often a text is there.
func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), text)
}

// What a cloud answers to the programs on its hosts is not to be had by naming it as an
// endpoint, nor is the server itself.
func TestAuditWebhookIsGuarded(t *testing.T) {
	logged := new(journal)
	start(t, server.Config{Logger: slog.New(slog.NewTextHandler(logged, nil)),
		Audit: server.Audit{Webhook: server.Webhook{URL: "http://169.254.169.254/latest"}}})
	eventually(t, "the log says why the webhook is not called", func() bool { return logged.has("169.254.169.254 is a") })
}

func TestAuditSettings(t *testing.T) {
	for want, a := range map[string]server.Audit{
		"audit: max_size":         {MaxSize: "1KiB"},
		"audit: keep_days":        {KeepDays: -1},
		"audit: syslog":           {Syslog: "localhost:514"},
		"audit: webhook":          {Webhook: server.Webhook{URL: "example.org"}},
		"audit: webhook: headers": {Webhook: server.Webhook{Headers: map[string]string{"A": "b"}}},
	} {
		if _, err := (server.Config{Audit: a}).WithDefaults(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("WithDefaults(%+v) = %v, want %s", a, err, want)
		}
	}
}

// TestPartsAreRecorded makes calls about many things, and holds that the log names each
// thing that they changed, and no other.
func TestPartsAreRecorded(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, server.Config{DataDir: dir})
	at := base(s)
	set := func(instances string) string {
		return `{"incarnation":"i1","instances":[` + instances + `]}`
	}
	instance := func(service string, weight int) string {
		return fmt.Sprintf(`{"service":%q,"address":"192.0.2.1","port":80,"weight":%d,"health":"passing"}`, service, weight)
	}
	_, _, archive := call(t, "POST", at+"/v1/configs-set", "application/json", strings.NewReader(`{"edits":[{"group":"g","dataId":"z","content":"1"}]}`))
	if !strings.Contains(archive, "revision") {
		t.Fatal(archive)
	}
	_, exported := get(t, at+"/v1/configs-export")
	ids := func() string {
		_, list := get(t, at+"/nacos/v1/cs/configs?search=accurate&dataId=a&group=g&pageNo=1&pageSize=9")
		_, id, _ := strings.Cut(list, `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		return id
	}
	for _, tc := range []struct{ method, target, kind, body, want string }{
		{"POST", "/v1/configs-set", "application/json", `{"edits":[{"group":"g","dataId":"a","content":"1"},{"group":"g","dataId":"b","content":"2"}]}`, "put public g a , put public g b "},
		{"POST", "/v1/configs-set", "application/json", `{"edits":[{"group":"g","dataId":"c","content":"1"},{"group":"g","dataId":"b","delete":true}]}`, "put public g c , delete public g b "},
		{"POST", "/v1/configs-set", "application/json", `{"edits":[{"group":"g","dataId":"d","content":"1"},{"group":"g","dataId":"a","content":"2","ifMd5":"0"}]}`, ""},
		{"PUT", "/v1/namespaces/team", "application/json", `{}`, ""},
		{"POST", "/v1/configs-clone", "application/json", `{"from":"public","to":"team","dataIds":["a","c"]}`, "put team g a , put team g c "},
		{"POST", "/v1/configs-import?onConflict=overwrite", "application/zip", exported, "put public g z "},
		{"PUT", "/v1/agents/web-1", "application/json", set(instance("s1", 1) + "," + instance("s2", 1)), "put public DEFAULT_GROUP s1 192.0.2.1:80, put public DEFAULT_GROUP s2 192.0.2.1:80"},
		{"PUT", "/v1/agents/web-1", "application/json", set(instance("s1", 1) + "," + instance("s2", 2)), "put public DEFAULT_GROUP s2 192.0.2.1:80"},
		{"PUT", "/v1/agents/web-1", "application/json", set(instance("s1", 1) + "," + instance("s2", 2)), ""},
		{"PUT", "/v1/agents/web-1", "application/json", set(instance("s2", 2)), "delete public DEFAULT_GROUP s1 192.0.2.1:80"},
		{"PUT", "/nacos/v1/ns/instance/metadata/batch", form, "serviceName=s2&metadata=" + url.QueryEscape(`{"a":"b"}`), "put public DEFAULT_GROUP s2 192.0.2.1:80"},
		{"DELETE", "/v1/agents/web-1", "", "", "delete public DEFAULT_GROUP s2 192.0.2.1:80"},
		{"DELETE", "/nacos/v1/cs/configs?delType=ids&ids=" + ids(), "", "", "delete public g a "},
	} {
		if strings.HasSuffix(tc.target, "ids=") {
			tc.target += ids()
		}
		before := len(recorded(t, dir))
		_, _, answer := call(t, tc.method, at+tc.target, tc.kind, strings.NewReader(tc.body))
		var got []string
		all := recorded(t, dir)[before:]
		for i, r := range all {
			if i == 0 && r.Change == "" {
				continue
			}
			got = append(got, fmt.Sprintf("%s %s %s %s %s", r.Change, r.Namespace, r.Group, r.Name, r.Item))
			if r.Call != all[0].Seq || r.Op != all[0].Op || r.Result != audit.Done {
				t.Errorf("%s %s: the part %+v is of another call than %+v", tc.method, tc.target, r, all[0])
			}
		}
		if joined := strings.Join(got, ", "); joined != tc.want {
			t.Errorf("%s %s: recorded %q, want %q: %s", tc.method, tc.target, joined, tc.want, answer)
		}
	}
}
