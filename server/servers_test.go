package server_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/server"
	"github.com/musterhq/muster/server/relay"
)

func TestServerAloneIsListed(t *testing.T) {
	s, _ := start(t, server.Config{AdvertiseHTTP: "http://192.0.2.1:8848/", Advertise: "192.0.2.1"})
	c := dial(t, s)
	var list api.ServerList
	eventually(t, "the server is on the list", func() (ok bool) {
		var err error
		list, err = c.ServerStates(t.Context())
		return err == nil && len(list.Servers) == 1
	})
	st := s.Status()
	v := list.Servers[0]
	if !v.Self || !v.Judge || !v.Reachable || !v.Ready || v.Stale || v.ID != st.ID || list.Judge != st.ID || list.Protection == nil {
		t.Errorf("ServerStates() = %+v, want one server that is ready, the judge, and the one that was asked", list)
	}
	if want := "http://192.0.2.1:8848"; v.HTTP != want {
		t.Errorf("http = %q, want %q as it was advertised", v.HTTP, want)
	}
	if !strings.HasPrefix(v.DNS, "192.0.2.1:") {
		t.Errorf("dns = %q, want the advertised address", v.DNS)
	}
	if was, err := c.Confirm(t.Context()); err != nil || was.Active {
		t.Errorf("Confirm() = %+v, %v, want that nothing was held back", was, err)
	}
}

func TestEveryAnswerHasAnAge(t *testing.T) {
	s := running(t)
	for _, path := range []string{"/readyz", api.PathServices, "/nacos/v1/ns/service/list?pageNo=1&pageSize=1", "/v1/services/public/DEFAULT_GROUP/nobody"} {
		_, header, _ := call(t, http.MethodGet, base(s)+path, "", http.NoBody)
		age, err := strconv.ParseFloat(header.Get(api.HeaderAge), 64)
		if err != nil || age < 0 || age > 10 {
			t.Errorf("GET %s: %s = %q, want some seconds", path, api.HeaderAge, header.Get(api.HeaderAge))
		}
	}
}

func TestMembersOfOneServer(t *testing.T) {
	c := dial(t, running(t))
	list, err := c.Members(t.Context())
	if err != nil || len(list.Members) != 1 || !list.Members[0].Leader || !list.Members[0].Healthy || list.Members[0].Learner {
		t.Fatalf("Members() = %+v, %v, want one that leads", list, err)
	}
	if _, err := c.AddMember(t.Context(), api.MemberSpec{Name: "b", Peer: "192.0.2.1:2380"}); !errors.Is(err, client.ErrConflict) || !strings.Contains(err.Error(), "settings for a cluster") {
		t.Errorf("AddMember() = %v, want that there are no settings for a cluster", err)
	}
	for name, force := range map[string]bool{list.Members[0].ID: false, list.Members[0].Name: true} {
		if err := c.RemoveMember(t.Context(), name, force); !errors.Is(err, client.ErrConflict) {
			t.Errorf("RemoveMember(%s, %v) = %v, want a conflict", name, force, err)
		}
	}
	if err := c.RemoveMember(t.Context(), "nobody", true); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("RemoveMember(nobody) = %v, want that there is none", err)
	}
	if _, err := c.AddMember(t.Context(), api.MemberSpec{Peer: "192.0.2.1:2380"}); !errors.Is(err, client.ErrInvalid) || !strings.Contains(err.Error(), "name") {
		t.Errorf("AddMember without a name = %v, want an invalid name", err)
	}
	if again, err := c.Members(t.Context()); err != nil || len(again.Members) != 1 {
		t.Errorf("Members() afterwards = %+v, %v, want the same one", again, err)
	}
}

// What another server heard is taken whole or not at all, and only by the server
// that is meant.
func TestHeardFromAnotherServer(t *testing.T) {
	s := running(t)
	_, _, refusal := call(t, http.MethodPost, base(s)+api.PathHeard, "text/plain", strings.NewReader("agent/one\n"))
	var who api.Heard
	if err := json.Unmarshal([]byte(refusal), &who); err != nil {
		t.Fatal(err)
	}
	self, ok := strings.CutPrefix(who.Reason, "this is server ")
	if id, cluster, _ := strings.Cut(self, "@"); !ok || id != s.Status().ID || cluster == "" || cluster == "0" {
		t.Fatalf("answer to word for nobody = %s, want the server's id and its etcd's", refusal)
	}
	for _, c := range []struct {
		name, query string
		body        io.Reader
		status      int
		accepted    bool
		reason      string
	}{
		{"nothing at all", "?from=b", strings.NewReader(""), http.StatusBadRequest, false, ""},
		{"nobody, as a question", "?from=b", strings.NewReader("\n\n\n"), http.StatusOK, true, ""},
		{"two who are not known", "?from=b", strings.NewReader("agent/one\nagent/two\n"), http.StatusOK, true, ""},
		{"no end of the last line", "?from=b&relayed=true", strings.NewReader("agent/one"), http.StatusOK, true, ""},
		{"without a sender", "", strings.NewReader("agent/one\n"), http.StatusOK, true, ""},
		{"bytes that are no text", "?from=b", strings.NewReader("\x00\xff\xfe\n\r\n"), http.StatusOK, true, ""},
		{"one that is too long", "?from=b", strings.NewReader("a\n" + strings.Repeat("x", 1025) + "\n"), http.StatusOK, false, "witness 2 of the batch is longer than 1024 bytes"},
		{"too many", "?from=b", strings.NewReader(strings.Repeat("a\n", relay.MaxBatch+1)), http.StatusOK, false, "20001 witnesses in one batch"},
		{"a sender that is too long", "?from=" + strings.Repeat("x", 65), strings.NewReader("a\n"), http.StatusUnprocessableEntity, false, ""},
		{"relayed that is no truth value", "?relayed=perhaps", strings.NewReader("a\n"), http.StatusUnprocessableEntity, false, ""},
		{"a body without end", "?from=b", io.MultiReader(strings.NewReader(strings.Repeat("ab\n", 22<<20))), http.StatusRequestEntityTooLarge, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			query := c.query + "&to=" + self
			if c.query == "" {
				query = "?" + query[1:]
			}
			status, _, body := call(t, http.MethodPost, base(s)+api.PathHeard+query, "text/plain", c.body)
			var got api.Heard
			if status == http.StatusOK && json.Unmarshal([]byte(body), &got) != nil {
				t.Fatalf("answer = %q, want JSON", body)
			}
			if status != c.status || got.Accepted != c.accepted || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("answer = %d %.300q, want %d, accepted %v, reason %q", status, body, c.status, c.accepted, c.reason)
			}
		})
	}
	for _, query := range []string{"?to=another", "?to=" + s.Status().ID, "?to=" + s.Status().ID + "@1"} {
		_, _, body := call(t, http.MethodPost, base(s)+api.PathHeard+query, "text/plain", strings.NewReader("agent/one\n"))
		if !strings.Contains(body, `"accepted":false`) || !strings.Contains(body, "this is server "+s.Status().ID) {
			t.Errorf("answer to word for another server (%q) = %s, want it refused", query, body)
		}
	}
	if st := s.Status(); !st.Ready || !st.Judge {
		t.Errorf("status after bad bodies = %+v, want ready and judge", st)
	}
}

func TestBackupEndsWithItsDigest(t *testing.T) {
	c := dial(t, running(t))
	if _, err := c.PutConfig(t.Context(), client.Name{Name: "app.yaml"}, []byte("version: 1"), client.ConfigWrite{}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	n, err := c.Backup(t.Context(), &b)
	if err != nil || n != int64(b.Len()) || n <= sha256.Size {
		t.Fatalf("Backup() = %d, %v of %d bytes", n, err, b.Len())
	}
	content, end := b.Bytes()[:n-sha256.Size], b.Bytes()[n-sha256.Size:]
	if sum := sha256.Sum256(content); !bytes.Equal(sum[:], end) {
		t.Errorf("the last 32 bytes are %x, want the SHA-256 %x of what goes before", end, sum)
	}
	if !bytes.Contains(content, []byte("version: 1")) {
		t.Error("the backup lacks a document")
	}
}
