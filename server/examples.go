package server

import (
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/api"
)

// bodies are examples of what is sent, by operation: whoever calls the operations
// with them and with the examples of the parameters is answered. A test does.
var bodies = map[string]any{
	"put-service": api.ServiceSpec{Ephemeral: new(true), ProtectThreshold: 0.3, Metadata: map[string]string{"owner": "shop"},
		DNS: &api.ServiceDNS{TTL: new(uint32(30)), Mode: "sampled"}},
	"put-cluster":    api.ServiceCluster{Check: &api.HealthCheck{Kind: "http", Path: "/healthz", Interval: 10000}},
	"put-instance":   map[string]any{"ephemeral": true, "weight": 3, "cluster": "bj", "metadata": map[string]string{"version": "v1"}},
	"patch-instance": api.InstanceEdit{Weight: new(0.0), Pinned: new(true)},
	"put-namespace":  api.NamespaceSpec{Name: "Development", Description: "Everybody may break it"},
	"put-agent": api.AgentSet{Incarnation: "2f9c", Host: "web-1.example.net", Instances: []api.AgentInstance{
		{Service: "shop", Address: "192.0.2.20", Port: 8080, Health: api.HealthPassing}}},
	"beat-agent": api.AgentBeat{Incarnation: "2f9c", Sequence: 1},
	"put-config": "timeout=3\n",
	"set-configs": api.ConfigSet{Edits: []api.ConfigEdit{
		{DataID: "shop.yaml", Content: "stock: 3\n", Type: "yaml"}, {DataID: "shop.old.yaml", Delete: true}}},
	"import-configs": "no archive",
	"clone-configs":  api.ConfigClone{From: "public", To: "copies", OnConflict: api.OnConflictOverwrite},
	"revert-config":  api.ConfigRevert{Seq: 1},
	"put-release":    "timeout=5\n",
	"patch-release":  api.ReleaseEdit{Rule: &api.Rule{Percent: 50}},
	"put-part":       "web-1 192.0.2.10:8080",
	"put-config-reports": api.ConfigReports{Reports: []api.ConfigReport{{Namespace: "public", Group: "DEFAULT_GROUP", DataID: "app.properties",
		MD5: "7c1e1a1eb35aac0dba9d1ff9e8c14ec3", State: api.ReportApplied, At: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)}}},
	"put-config-policy": api.PolicySpec{Validate: "refuse", HistoryDays: 90,
		GroupPolicySpec: api.GroupPolicySpec{Hard: api.Quota{Count: 1000, Total: 64 << 20}, Soft: api.Quota{Count: 800}}},
	"put-group-policy": api.GroupPolicySpec{Hard: api.Quota{Size: 64 << 10}},
	"watch-configs":    api.ConfigWatch{Configs: []api.ConfigRef{{DataID: "app.properties"}}, Wait: 100},
	"add-member":       api.MemberSpec{Name: "d", Peer: "192.0.2.14:2380"},
	"heard":            "agent/web-1\n",
	"login":            api.Login{User: "ann", Password: "correct horse battery"},
	"login-oidc": api.OIDCLogin{Code: "SplxlOBeZQQYbYS6WxSbIA", Verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", Nonce: "n-0S6_WzA2Mj-x1y2z",
		Redirect: "http://127.0.0.1:41001/callback"},
	"put-password": api.PasswordChange{Current: "correct horse battery", Password: "staple correct horse"},
	"put-user":     api.UserSpec{Password: "correct horse battery", Roles: []string{"reader"}},
	"put-role":     api.RoleSpec{Rules: []api.AccessRule{{Kind: "naming", Namespace: "dev", Group: "*", Verbs: "rw"}}},
	"add-token":    api.TokenSpec{Subject: "web-1", Roles: []string{"reader"}, Seconds: 2592000},
	"put-tsig":     api.TSIGSpec{Roles: []string{"reader"}},
}

// exemplify completes the document of our own operations: examples of bodies, and
// the problem that any of them may be answered with.
func exemplify(document *huma.OpenAPI) {
	problem := &huma.Response{Description: "A problem of RFC 9457", Content: map[string]*huma.MediaType{"application/problem+json": {
		Schema: document.Components.Schemas.Schema(reflect.TypeFor[huma.ErrorModel](), true, "")}}}
	for _, item := range document.Paths {
		for _, o := range []*huma.Operation{item.Get, item.Put, item.Post, item.Patch, item.Delete} {
			if o == nil {
				continue
			}
			if o.Responses["default"] == nil {
				o.Responses["default"] = problem
			}
			if body, ok := bodies[o.OperationID]; ok && o.RequestBody != nil {
				for _, media := range o.RequestBody.Content {
					media.Example = body
				}
			}
		}
	}
}

// eventData says which data the events of a stream have.
func eventData(document *huma.OpenAPI) map[string]any {
	refs := map[string]any{}
	for kind, t := range map[string]reflect.Type{
		api.EventReset: reflect.TypeFor[api.SyncEvent](), api.EventSynced: reflect.TypeFor[api.SyncEvent](),
		api.EventService: reflect.TypeFor[api.ServiceEvent](), api.EventRemoved: reflect.TypeFor[api.RemovedEvent](),
		api.EventEnd: reflect.TypeFor[api.EndEvent](),
	} {
		refs[kind] = document.Components.Schemas.Schema(t, true, "")
	}
	return refs
}
