package protocols_test

import (
	"crypto/md5" //nolint:gosec // it is what the protocols compare
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// document is what is published, and read again.
type document struct {
	namespace, group, id string
	content, kind        string
	dataKey              string // of one that the client has encrypted
	beta, tag            string // whom a gray release is for
}

// shown is a document as a reader gets it, nothing for none.
func (d document) shown() string {
	if d.content == "" {
		return ""
	}
	sum := md5.Sum([]byte(d.content)) //nolint:gosec // likewise
	return fmt.Sprintf("%s %s %q %q", hex.EncodeToString(sum[:]), d.kind, d.dataKey, d.content)
}

// message is a document as clients name it over gRPC.
func (d document) message(more map[string]any) map[string]any {
	m := map[string]any{"tenant": d.namespace, "group": d.group, "dataId": d.id}
	maps.Copy(m, more)
	return m
}

func (d document) names(namespace, group string) url.Values {
	return url.Values{namespace: {d.namespace}, group: {d.group}, "dataId": {d.id}}
}

// form makes a call of Nacos's API about a document, with what is published unless the
// content is empty.
func (d document) call(s *server, method, path, namespace, group string) {
	s.t.Helper()
	v := d.names(namespace, group)
	if d.content != "" {
		v.Set("content", d.content)
		v.Set("type", d.kind)
		v.Set("encryptedDataKey", d.dataKey)
		v.Set("tag", d.tag)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.HTTP+path+"?"+v.Encode(), http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	if d.beta != "" {
		req.Header.Set("betaIps", d.beta)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s?%s = %d", method, path, v.Encode(), resp.StatusCode)
	}
}

func (d document) path() string { return "/v1/configs/" + d.namespace + "/" + d.group + "/" + d.id }

// publishers publish a document over a protocol, and remove one whose content is empty.
var publishers = map[string]func(s *server, d document){
	"HTTP v1": func(s *server, d document) { d.call(s, verb(d), "/nacos/v1/cs/configs", "tenant", "group") },
	"HTTP v2": func(s *server, d document) { d.call(s, verb(d), "/nacos/v2/cs/config", "namespaceId", "group") },
	"HTTP v3": func(s *server, d document) {
		d.call(s, verb(d), "/nacos/v3/admin/cs/config", "namespaceId", "groupName")
	},
	"own API": func(s *server, d document) {
		method, path := http.MethodPut, d.path()+"?type="+d.kind
		if d.content == "" {
			method, path = http.MethodDelete, d.path()
		}
		if got := s.http(method, path, "text/plain", d.content); got.status >= 300 {
			s.t.Fatalf("%s %s = %d %s", method, path, got.status, got.body)
		}
	},
	"gRPC": func(s *server, d document) {
		if d.content == "" {
			s.grpc("ConfigRemoveRequest", d.message(nil), new(struct{}))
			return
		}
		s.grpc("ConfigPublishRequest", d.message(map[string]any{"content": d.content, "additionMap": map[string]any{"type": d.kind, "encryptedDataKey": d.dataKey, "betaIps": d.beta, "tag": d.tag}}), new(struct{}))
	},
}

func verb(d document) string {
	if d.content == "" {
		return http.MethodDelete
	}
	return http.MethodPost
}

// subscribers read a document over a protocol, with a tag unless that is empty.
var subscribers = map[string]func(s *server, d document, tag string) string{
	"HTTP v1": func(s *server, d document, tag string) string {
		v := d.names("tenant", "group")
		v.Set("tag", tag)
		got := s.http("GET", "/nacos/v1/cs/configs?"+v.Encode(), "", "")
		return read(got, got.body)
	},
	"HTTP v2": func(s *server, d document, tag string) string {
		v := d.names("namespaceId", "group")
		v.Set("tag", tag)
		got := s.http("GET", "/nacos/v2/cs/config?"+v.Encode(), "", "")
		var body struct{ Data string }
		_ = json.Unmarshal([]byte(got.body), &body) // a failure says so by its status
		return read(got, body.Data)
	},
	"HTTP v3": func(s *server, d document, tag string) string {
		if tag != "" {
			return "" // it has no such question
		}
		got := s.http("GET", "/nacos/v3/client/cs/config?"+d.names("namespaceId", "groupName").Encode(), "", "")
		var body struct {
			Data struct{ Content, ContentType, MD5, EncryptedDataKey string }
		}
		_ = json.Unmarshal([]byte(got.body), &body) // likewise
		return show(body.Data.MD5, body.Data.ContentType, body.Data.EncryptedDataKey, body.Data.Content)
	},
	"own API": func(s *server, d document, tag string) string {
		path := d.path()
		if tag != "" {
			path += "?tag=" + tag
		}
		got := s.http("GET", path, "", "")
		if got.status != http.StatusOK {
			return ""
		}
		return show(strings.Trim(got.header.Get("ETag"), `"`), got.header.Get("Config-Type"), got.header.Get("Encrypted-Data-Key"), got.body)
	},
	"gRPC": func(s *server, d document, tag string) string {
		var body struct{ Content, ContentType, MD5, EncryptedDataKey string }
		got := s.go2.Call("ConfigQueryRequest", d.message(map[string]any{"tag": tag}))
		_ = json.Unmarshal(got.Body, &body) // it is JSON, as the client has seen
		return show(body.MD5, body.ContentType, body.EncryptedDataKey, body.Content)
	},
}

func read(got answer, content string) string {
	if got.status != http.StatusOK {
		return ""
	}
	return show(got.header.Get("Content-MD5"), got.header.Get("Config-Type"), got.header.Get("Encrypted-Data-Key"), content)
}

func show(sum, kind, dataKey, content string) string {
	if content == "" {
		return ""
	}
	return fmt.Sprintf("%s %s %q %q", sum, kind, dataKey, content)
}

// TestConfiguration publishes a document of each kind over each protocol.
func TestConfiguration(t *testing.T) {
	s := startServer(t)
	base := document{namespace: "public", group: "DEFAULT_GROUP", content: "limit: 1\n", kind: "yaml"}
	with := func(change func(*document)) document {
		d := base
		change(&d)
		return d
	}
	variants := []struct {
		name   string
		writes []document // one after the other
		tag    string     // that is asked for
		want   document
		own    bool // our own API says it otherwise
	}{
		{"plain", []document{base}, "", base, false},
		{"of odd characters", []document{with(func(d *document) { d.content = "größe=+ &%41\n\t<x>\u2028𝕏" })}, "", with(func(d *document) { d.content = "größe=+ &%41\n\t<x>\u2028𝕏" }), false},
		{"of another type", []document{with(func(d *document) { d.content, d.kind = `{"a":null}`, "json" })}, "", with(func(d *document) { d.content, d.kind = `{"a":null}`, "json" }), false},
		{"elsewhere", []document{with(func(d *document) { d.namespace, d.group = "dev", "pay" })}, "", with(func(d *document) { d.namespace, d.group = "dev", "pay" }), false},
		{"over another one", []document{with(func(d *document) { d.content = "limit: 0\n" }), base}, "", base, false},
		{"removed", []document{base, with(func(d *document) { d.content = "" })}, "", with(func(d *document) { d.content = "" }), false},
		{"encrypted by its client", []document{with(func(d *document) { d.dataKey = "key" })}, "", with(func(d *document) { d.dataKey = "key" }), true},
		{"a beta for these readers", []document{base, with(func(d *document) { d.content, d.beta = "limit: 2\n", "127.0.0.1" })}, "", with(func(d *document) { d.content = "limit: 2\n" }), true},
		{"a beta for others", []document{base, with(func(d *document) { d.content, d.beta = "limit: 2\n", "192.0.2.1" })}, "", base, true},
		{"a tag that is asked for", []document{base, with(func(d *document) { d.content, d.tag = "limit: 3\n", "blue" })}, "blue", with(func(d *document) { d.content = "limit: 3\n" }), true},
		{"a tag that is not asked for", []document{base, with(func(d *document) { d.content, d.tag = "limit: 3\n", "blue" })}, "", base, true},
	}
	cases := 0
	for _, publisher := range slices.Sorted(maps.Keys(publishers)) {
		for _, v := range variants {
			if v.own && publisher == "own API" {
				continue
			}
			cases++
			id := fmt.Sprintf("d%d", cases)
			t.Run(publisher+", "+v.name, func(t *testing.T) {
				watch := v.want
				watch.id = id
				s.grpc("ConfigBatchListenRequest", map[string]any{"configListenContexts": []any{watch.message(nil)}}, new(struct{}))
				for _, d := range v.writes {
					d.id = id
					publishers[publisher](s, d)
				}
				for subscriber, get := range subscribers {
					if v.tag != "" && (subscriber == "HTTP v3" || subscriber == "own API") {
						continue // they answer by the tag of the client alone
					}
					if got := get(s, watch, v.tag); got != watch.shown() {
						t.Errorf("%s reads %s, want %s", subscriber, got, watch.shown())
					}
				}
				push := s.go2.Next("ConfigChangeNotifyRequest")
				if !strings.Contains(string(push.Body), `"dataId":"`+id+`"`) {
					t.Errorf("who listens over gRPC is told %s, want %s", push.Body, id)
				}
				for more := true; more; { // one that is published twice may be told twice
					select {
					case push := <-s.go2.Pushes():
						if !strings.Contains(string(push.Body), `"dataId":"`+id+`"`) {
							t.Errorf("it is told %s, too", push.Body)
						}
					default:
						more = false
					}
				}
				s.grpc("ConfigBatchListenRequest", map[string]any{"listen": false, "configListenContexts": []any{watch.message(nil)}}, new(struct{}))
			})
		}
	}
	t.Logf("%d cases", cases)
}
