package etcdstore_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/config/vault"
	"github.com/musterhq/muster/etcdstore"
)

func newVault(t *testing.T) *vault.Vault {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if _, err := vault.Generate(path); err != nil {
		t.Fatal(err)
	}
	v, err := vault.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const secret = "password: correct horse battery staple"

// Nothing in etcd tells the content of an encrypted document, nor who can guess
// it whether they have; with the key all of it is read, by any server.
func TestEncryptedDocuments(t *testing.T) {
	client, keys := startEtcd(t), newVault(t)
	store := runStoreWith(t, client, etcdstore.Config{Vault: keys})
	c := config.New(store.Configs(), config.Config{Sealing: true})
	k := config.Key{Namespace: "public", Group: "g", DataID: "cipher-db"}
	first, _, err := c.Publish(t.Context(), config.Draft{Key: k, Content: []byte("password: old")})
	if err != nil || !first.Encrypted() {
		t.Fatalf("Publish = %+v, %v, want it encrypted, as its name begins with cipher-", first, err)
	}
	long := strings.Repeat("x", 2<<20) + secret
	for _, content := range []string{secret, long} {
		if _, _, err := c.Publish(t.Context(), config.Draft{Key: k, Content: []byte(content)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := c.Release(t.Context(), config.ReleaseDraft{Draft: config.Draft{Key: k, Content: []byte(secret)}, Name: "beta",
		Rule: config.Rule{IPs: []string{"192.0.2.1"}}}); err != nil {
		t.Fatal(err)
	}
	joined := config.Key{Namespace: "public", Group: "g", DataID: "cipher-parts"}
	for _, id := range []string{"a", "b"} {
		if _, _, err := c.PutPart(t.Context(), config.PartDraft{Key: joined, DatumID: id, Content: []byte(secret)}); err != nil {
			t.Fatal(err)
		}
	}
	md5, digest := config.Sum([]byte(secret))
	all, err := client.Get(t.Context(), "/muster/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range all.Kvs {
		for _, told := range []string{"horse", "password", md5, digest} {
			if bytes.Contains(kv.Value, []byte(told)) || bytes.Contains(kv.Key, []byte(told)) {
				t.Errorf("%s tells %q", kv.Key, told)
			}
		}
	}

	another := config.New(runStoreWith(t, client, etcdstore.Config{Vault: keys}).Configs(), config.Config{Sealing: true})
	for _, want := range []struct {
		client  config.Client
		content string
	}{{config.Client{}, long}, {config.Client{IP: "192.0.2.1"}, secret}} {
		choice, content, err := another.GetFor(t.Context(), k, want.client)
		sum, _ := config.Sum([]byte(want.content))
		if err != nil || string(content) != want.content || choice.Document.MD5 != sum || choice.Document.SealedMD5 != nil {
			t.Errorf("another server reads %.60q, MD5 %s, %v, want %.60q, MD5 %s", content, choice.Document.MD5, err, want.content, sum)
		}
	}
	if p, content, err := another.PartContent(t.Context(), joined, "b"); err != nil || string(content) != secret || p.MD5 != md5 || p.SealedMD5 != nil {
		t.Errorf("another server reads of a part %q, %+v, %v", content, p, err)
	}
	records, total, err := another.History(t.Context(), k, 0, 10)
	if err != nil || total != 4 || records[2].Head.MD5 != md5 {
		t.Errorf("history = %d records, %v, want 4 with the MD5 of each", total, err)
	}
	if found, err := another.Search(t.Context(), config.Query{Content: "horse battery"}); err != nil || len(found) != 2 {
		t.Errorf("Search by content = %d, %v, want those that are encrypted", len(found), err)
	}
	if head, _, err := another.Revert(t.Context(), k, 1, config.Condition{}, config.Author{}); err != nil || !head.Encrypted() || head.Digest == first.Digest {
		t.Errorf("Revert = %+v, %v, want it encrypted anew", head, err)
	}
}

// A server without the key sees that there is something, and neither shows it as
// absent nor writes over it.
func TestEncryptedDocumentsWithoutTheKey(t *testing.T) {
	client := startEtcd(t)
	with := config.New(runStoreWith(t, client, etcdstore.Config{Vault: newVault(t)}).Configs(), config.Config{Sealing: true})
	k := config.Key{Namespace: "public", Group: "g", DataID: "db"}
	_, receipt, err := with.Publish(t.Context(), config.Draft{Key: k, Content: []byte(secret), Encrypt: new(true)})
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]etcdstore.Config{"no key": {}, "another key": {Vault: newVault(t)}} {
		store := runStoreWith(t, client, cfg)
		c := config.New(store.Configs(), config.Config{Sealing: cfg.Vault != nil})
		if !c.View().Wait(t.Context(), receipt.Revision) {
			t.Fatal("the view does not come to show the document")
		}
		if _, _, err := c.Release(t.Context(), config.ReleaseDraft{Draft: config.Draft{Key: k, Content: []byte(secret)}, Name: "beta",
			Rule: config.Rule{Tag: "x"}}); !errors.Is(err, config.ErrUnavailable) {
			t.Errorf("%s: Release beside it = %v, want ErrUnavailable: it would not be encrypted", name, err)
		}
		if _, _, err := c.Publish(t.Context(), config.Draft{Key: k, Content: []byte("x")}); !errors.Is(err, config.ErrUnavailable) {
			t.Errorf("%s: Publish over it = %v, want ErrUnavailable", name, err)
		}
		if _, _, err := c.Get(t.Context(), k); !errors.Is(err, config.ErrUnavailable) {
			t.Errorf("%s: Get = %v, want ErrUnavailable: as absent, clients would drop what they have", name, err)
		}
		if got := with.Snapshot().Digests(); !got.Equal(c.Snapshot().Digests()) {
			t.Errorf("%s: the digests differ from those of a server that reads it", name)
		}
		if _, _, err := c.Publish(t.Context(), config.Draft{Key: config.Key{Namespace: "public", Group: "g", DataID: name[:2]}, Content: []byte("x")}); err != nil {
			t.Errorf("%s: Publish of another document = %v", name, err)
		}
	}
	plain := config.New(runStore(t, client).Configs(), config.Config{})
	if _, _, err := plain.Publish(t.Context(), config.Draft{Key: config.Key{Namespace: "public", Group: "g", DataID: "new"}, Content: []byte("x"),
		Encrypt: new(true)}); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("Publish of a document to encrypt without a key = %v, want ErrInvalid", err)
	}
	if head, _, err := plain.Publish(t.Context(), config.Draft{Key: config.Key{Namespace: "public", Group: "g", DataID: "cipher-x"}, Content: []byte("x")}); err != nil || head.Encrypted() {
		t.Errorf("Publish of a cipher- document without a key = %+v, %v, want it as it is", head, err)
	}
}
