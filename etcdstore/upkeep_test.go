package etcdstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/etcdstore"
)

// keeping is a configuration centre whose judge looks after it when it is told.
type keeping struct {
	t       *testing.T
	client  *clientv3.Client
	store   *etcdstore.Store
	center  *config.Center
	passes  etcdstore.Passes
	meeting atomic.Pointer[func(n int)] // called ahead of each call of a pass to etcd
	calls   int
	names   int
	chunked atomic.Pointer[func()] // called after the first chunk of a content was put
}

type ofPass struct{}

// hooked calls back ahead of what passes ask of etcd.
type hooked struct {
	clientv3.KV
	k *keeping
}

func (h hooked) met(ctx context.Context) {
	if f := h.k.meeting.Load(); f != nil && ctx.Value(ofPass{}) != nil {
		h.k.calls++
		(*f)(h.k.calls)
	}
}

func (h hooked) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	h.met(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return h.KV.Get(ctx, key, opts...)
}

func (h hooked) Txn(ctx context.Context) clientv3.Txn {
	h.met(ctx)
	return h.KV.Txn(ctx)
}

func (h hooked) Put(ctx context.Context, key, value string, opts ...clientv3.OpOption) (*clientv3.PutResponse, error) {
	resp, err := h.KV.Put(ctx, key, value, opts...)
	if f := h.k.chunked.Load(); f != nil && strings.HasSuffix(key, "/0000") {
		(*f)()
	}
	return resp, err
}

func newKeeping(t *testing.T, cfg etcdstore.Config, before ...func(*etcdstore.Store)) *keeping {
	t.Helper()
	k := &keeping{t: t, client: startEtcd(t)}
	k.client.KV = hooked{k.client.KV, k}
	k.store = runWith(t, k.client, cfg, before...)
	holdOffice(t, k.store, "this server")
	k.center = config.New(k.store.Configs(), config.Config{Sealing: cfg.Vault != nil})
	return k
}

// pass looks through all once, and calls f ahead of each call to etcd.
func (k *keeping) pass(f func(n int)) (trimmed, removed int) {
	k.t.Helper()
	trimmed, removed, err := k.tryPass(k.t.Context(), f)
	if err != nil {
		k.t.Fatalf("Pass() = %v", err)
	}
	return trimmed, removed
}

func (k *keeping) tryPass(ctx context.Context, f func(n int)) (trimmed, removed int, err error) {
	if k.calls = 0; f != nil {
		k.meeting.Store(&f)
		defer k.meeting.Store(nil)
	}
	return k.passes.Pass(context.WithValue(ctx, ofPass{}, true), k.store.Configs())
}

func (k *keeping) publish(name, content string) *config.Document {
	k.t.Helper()
	d, _, err := k.center.Publish(k.t.Context(), config.Draft{Key: keyOf(name), Content: []byte(content)})
	if err != nil {
		k.t.Fatalf("Publish(%s) = %v", name, err)
	}
	return d
}

func (k *keeping) policy(p config.Policy) {
	k.t.Helper()
	p.Namespace = "public"
	if _, err := k.center.SetPolicy(k.t.Context(), p, -1); err != nil {
		k.t.Fatal(err)
	}
}

func keyOf(name string) config.Key { return config.Key{Namespace: "public", Group: "g", DataID: name} }

// fresh returns a name that no document ever had.
func (k *keeping) fresh(prefix string) string {
	k.names++
	return fmt.Sprint(prefix, k.names)
}

// intact checks that the content of all that is there is, and that history has
// no gaps and ends with the sequence.
func (k *keeping) intact() {
	k.t.Helper()
	c := k.store.Configs()
	etcdstore.ForgetContents(c)
	newest, err := c.Newest(k.t.Context()) // a pass that was cut off may have written without hearing of it
	if err != nil || !c.View().Wait(k.t.Context(), newest) {
		k.t.Fatalf("the view does not come to show revision %d: %v", newest, err)
	}
	snap := k.center.Snapshot()
	wanted := map[string]string{}
	for key := range snap.Keys {
		if d := snap.Head(key); d != nil {
			wanted[d.Digest] = "head of " + key.String()
		}
		for _, r := range snap.Releases(key) {
			wanted[r.Digest] = "release of " + key.String()
		}
		for _, p := range snap.Parts(key) {
			wanted[p.Digest] = "part of " + key.String()
		}
		records, _, err := k.center.History(k.t.Context(), key, 0, 10000)
		if err != nil {
			k.t.Fatal(err)
		}
		if last := snap.Sequence(key).Last; last > 0 && (len(records) == 0 || records[0].Seq != last) {
			k.t.Errorf("history of %s does not end with record %d: %d records", key, last, len(records))
		}
		for i, h := range records {
			if i > 0 && h.Seq != records[i-1].Seq-1 {
				k.t.Errorf("history of %s has a gap after record %d", key, h.Seq)
			}
			wanted[h.Head.Digest] = fmt.Sprintf("record %d of %s", h.Seq, key)
			if h.Was != "" && i < len(records)-1 {
				wanted[h.Was] = fmt.Sprintf("record %d of %s, before it", h.Seq, key)
			}
		}
	}
	for digest, where := range wanted {
		if _, err := c.Content(k.t.Context(), digest); err != nil {
			k.t.Errorf("content of the %s: %v", where, err)
		}
	}
}

func (k *keeping) keys(prefix string) int {
	k.t.Helper()
	resp, err := k.client.Get(k.t.Context(), "/muster/1/"+prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		k.t.Fatal(err)
	}
	return int(resp.Count)
}

func TestHistoryIsKeptByCount(t *testing.T) {
	k := newKeeping(t, etcdstore.Config{})
	for n := range 10 {
		k.publish("app", fmt.Sprint("version ", n))
	}
	k.publish("other", "version 3")
	if trimmed, removed := k.pass(nil); trimmed+removed != 0 {
		t.Fatalf("without a policy %d records and %d contents were removed, want none", trimmed, removed)
	}
	k.policy(config.Policy{HistoryCount: 3})
	if trimmed, removed := k.pass(nil); trimmed != 7 || removed != 5 { // versions 7 to 9 are told of, 6 was before 7, other has 3
		t.Errorf("%d records and %d contents were removed, want 7 and 5", trimmed, removed)
	}
	k.intact()
	if _, err := k.center.AsOf(t.Context(), keyOf("app"), config.Moment{Revision: 1}); !errors.Is(err, config.ErrTrimmed) {
		t.Errorf("AsOf(before what is kept) = %v, want ErrTrimmed", err)
	}
	records, total, err := k.center.History(t.Context(), keyOf("app"), 0, 10)
	if err != nil || total != 3 || records[2].Seq != 8 {
		t.Errorf("History = %d records from %d on, %v, want 3 from 8 on", total, records[2].Seq, err)
	}
	if k.pass(nil); !k.passes.Idle() {
		t.Error("a pass that had nothing to do does not say so")
	}
	began := k.calls
	if k.pass(func(int) {}); k.calls != 1 {
		t.Errorf("a pass when nothing was written since asked etcd %d times (was %d), want once", k.calls, began)
	}
}

// A judge without the key of a gray release does not see it: the history that it
// goes on with is not forgotten all the same.
func TestHistoryOfWhatTheJudgeCannotRead(t *testing.T) {
	k := newKeeping(t, etcdstore.Config{})
	with := config.New(runStoreWith(t, k.client, etcdstore.Config{Vault: newVault(t)}).Configs(), config.Config{Sealing: true})
	key := keyOf("gray")
	if _, _, err := with.Release(t.Context(), config.ReleaseDraft{Draft: config.Draft{Key: key, Content: []byte(secret), Encrypt: new(true)},
		Name: "beta", Rule: config.Rule{Tag: "x"}}); err != nil {
		t.Fatal(err)
	}
	records, _, err := with.History(t.Context(), key, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	past := config.Past{Key: keyOf("old"), History: records, Contents: map[string][]byte{records[0].Head.Digest: []byte(secret)}}
	past.History[0].Key, past.History[0].Head.Key, past.History[0].At = past.Key, past.Key, time.Now().AddDate(0, 0, -90)
	release := *with.Snapshot().Release(key, "beta")
	release.Key = past.Key
	past.Releases = []*config.Release{&release}
	receipt, err := with.Restore(t.Context(), past)
	if err != nil || !k.center.View().Wait(t.Context(), receipt.Revision) {
		t.Fatalf("Restore = %v", err)
	}
	k.pass(nil)
	if head, _, err := with.Promote(t.Context(), past.Key, "beta", config.Condition{}, config.Author{}); err != nil || head.Seq != 2 {
		t.Errorf("Promote = %+v, %v, want version 2", head, err)
	}
}

// at writes records of a document as they were made days ago, the oldest first.
func (k *keeping) at(name string, gone bool, days ...int) {
	k.t.Helper()
	key := keyOf(name)
	past := config.Past{Key: key, Contents: map[string][]byte{}}
	for i, ago := range days {
		content := []byte(fmt.Sprint(name, i))
		d := config.Document{Key: key, Seq: int64(i + 1), Type: "text", Size: len(content)}
		d.MD5, d.Digest = config.Sum(content)
		past.Contents[d.Digest] = content
		h := config.History{Key: key, Seq: d.Seq, Op: config.OpUpdate, Head: d, At: time.Now().AddDate(0, 0, -ago)}
		if past.Document = &d; gone && i == len(days)-1 {
			h.Op, past.Document = config.OpDelete, nil
		}
		past.History = append(past.History, h)
	}
	if _, err := k.center.Restore(k.t.Context(), past); err != nil {
		k.t.Fatal(err)
	}
}

func TestHistoryIsKeptByDays(t *testing.T) {
	k := newKeeping(t, etcdstore.Config{})
	k.at("old", false, 90, 60, 40)
	k.at("mixed", false, 90, 31, 29, 1)
	k.at("gone", true, 90, 31)
	k.at("gone-lately", true, 90, 29)
	k.at("gone-but-gray", true, 90, 31)
	if _, _, err := k.center.Release(t.Context(), config.ReleaseDraft{Draft: config.Draft{Key: keyOf("gone-but-gray"), Content: []byte("x")},
		Name: "beta", Rule: config.Rule{Tag: "x"}}); err != nil {
		t.Fatal(err)
	}
	trimmed, removed := k.pass(nil)
	if trimmed != 2+2+2+1+2 || removed != 9 {
		t.Errorf("%d records and %d contents were removed, want 9 and 9", trimmed, removed)
	}
	k.intact()
	names := slices.Sorted(func(yield func(string) bool) {
		k.center.Snapshot().Keys(func(key config.Key) bool { return yield(key.DataID) })
	})
	if want := []string{"gone-but-gray", "gone-lately", "mixed", "old"}; !slices.Equal(names, want) {
		t.Errorf("names = %q, want %q: nothing is left of what is gone", names, want)
	}
	if d := k.publish("gone", "again"); d.Seq != 1 {
		t.Errorf("a document whose past is forgotten begins with record %d, want 1", d.Seq)
	}
}

// What is not whole is left alone for a whole period, then removed.
func TestWhatWasNeverFinished(t *testing.T) {
	k := newKeeping(t, etcdstore.Config{})
	k.publish("app", "content")
	_, digest := config.Sum([]byte("never finished"))
	key := keyOf("restored")
	h := config.History{Key: key, Seq: 1, Op: config.OpInsert, At: time.Now(), Head: config.Document{Key: key, Digest: "of the history"}}
	if _, err := k.client.Put(t.Context(), "/muster/1/bulk/blob/"+digest+"/0000", "never"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.store.Configs().Commit(t.Context(), config.Write{History: []config.History{h},
		Contents: []config.Content{{Digest: "of the history", Bytes: []byte("x")}}}); err != nil {
		t.Fatal(err)
	}
	for pass, want := range [][2]int{{0, 0}, {1, 2}, {0, 0}} {
		if trimmed, removed := k.pass(nil); trimmed != want[0] || removed != want[1] {
			t.Errorf("pass %d removed %d records and %d contents, want %v", pass, trimmed, removed, want)
		}
	}
	k.intact()
}

// between is what others may do while a pass is under way: each makes or moves a
// reference to a content that nothing else refers to.
var between = []struct {
	name          string
	before, while func(k *keeping)
}{
	{"publishes what is garbage", nil, func(k *keeping) { k.publish("app", "garbage") }},
	{"publishes what is garbage in pieces", nil, func(k *keeping) { k.publish("app", strings.Repeat("garbage ", 100000)) }},
	{"deletes a document whose record was trimmed", func(k *keeping) { k.published("moved") }, func(k *keeping) {
		if _, _, err := k.center.Delete(k.t.Context(), keyOf("moved"), config.Condition{}, config.Author{}); err != nil {
			k.t.Error(err)
		}
	}},
	{"publishes over one whose record was trimmed", func(k *keeping) { k.published("moved") }, func(k *keeping) { k.publish("moved", "next") }},
	{"promotes a release", func(k *keeping) { k.published("gray") }, func(k *keeping) {
		if _, _, err := k.center.Promote(k.t.Context(), keyOf("gray"), "r1", config.Condition{}, config.Author{}); err != nil {
			k.t.Error(err)
		}
	}},
	{"puts a part", func(k *keeping) { k.part("joined", "1", "garbage of a part") }, func(k *keeping) { k.part("joined", "2", "garbage") }},
	{"reverts to what is being trimmed", func(k *keeping) {
		k.publish("back", "garbage 2")
		for n := range 5 {
			k.publish("back", fmt.Sprint("over it ", n))
		}
	}, func(k *keeping) {
		_, _, err := k.center.Revert(k.t.Context(), keyOf("back"), 1, config.Condition{}, config.Author{})
		if err != nil && !errors.Is(err, config.ErrNotFound) {
			k.t.Error(err)
		}
	}},
	{"restores a document", nil, func(k *keeping) { k.at(k.fresh("restored-"), false, 3, 2, 1) }},
}

// published publishes a document and releases of it, so that the record of what
// stands is trimmed.
func (k *keeping) published(name string) {
	k.t.Helper()
	k.publish(name, "garbage once it is deleted: "+name)
	for n := range 3 {
		if _, _, err := k.center.Release(k.t.Context(), config.ReleaseDraft{Draft: config.Draft{Key: keyOf(name), Content: []byte(fmt.Sprint("r", n, name))},
			Name: fmt.Sprint("r", n), Rule: config.Rule{Tag: "x"}}); err != nil {
			k.t.Fatal(err)
		}
	}
}

func (k *keeping) part(name, id, content string) {
	k.t.Helper()
	if _, _, err := k.center.PutPart(k.t.Context(), config.PartDraft{Key: keyOf(name), DatumID: id, Content: []byte(content)}); err != nil {
		k.t.Fatal(err)
	}
}

// Whatever is done at whatever point of a pass, no content is lost that anything
// refers to.
func TestNothingIsLostWhileAPassIsUnderWay(t *testing.T) {
	for _, b := range between {
		t.Run(b.name, func(t *testing.T) {
			k := newKeeping(t, etcdstore.Config{})
			k.policy(config.Policy{HistoryCount: 2})
			for at := 1; ; at++ {
				for _, garbage := range []string{"garbage", strings.Repeat("garbage ", 100000)} {
					k.publish("litter", garbage)
				}
				for n := range 3 {
					k.publish("litter", fmt.Sprint(n))
				}
				if b.before != nil {
					b.before(k)
				}
				done := false
				k.pass(func(n int) {
					if n == at {
						done = true
						b.while(k)
					}
				})
				k.intact()
				if !done {
					if at < 5 {
						t.Errorf("the pass called etcd %d times only", at-1)
					}
					break
				}
				k.sweepOut()
			}
		})
	}
}

// sweepOut deletes all documents.
func (k *keeping) sweepOut() {
	k.t.Helper()
	snap := k.center.Snapshot()
	for key := range snap.Keys {
		for _, r := range snap.Releases(key) {
			if _, _, err := k.center.Withdraw(k.t.Context(), key, r.Name, config.Author{}); err != nil {
				k.t.Fatal(err)
			}
		}
		if _, _, err := k.center.Delete(k.t.Context(), key, config.Condition{}, config.Author{}); err != nil {
			k.t.Fatal(err)
		}
	}
}

// A pass that ends at any of its steps has removed nothing that is needed, and
// the next one does the rest.
func TestPassesThatAreCutOff(t *testing.T) {
	k := newKeeping(t, etcdstore.Config{})
	k.policy(config.Policy{HistoryCount: 2})
	for at := 1; ; at++ {
		for n := range 6 {
			k.publish("app", fmt.Sprint("version ", n, " of round ", at))
		}
		k.at(fmt.Sprint("gone-", at), true, 90, 60)
		ctx, cancel := context.WithCancel(t.Context())
		_, _, err := k.tryPass(ctx, func(n int) {
			if n == at {
				cancel()
			}
		})
		cancel()
		k.intact()
		if err == nil {
			break
		}
		k.pass(nil)
		k.intact()
		if blobs, records := k.keys("bulk/blob/"), k.keys("bulk/his/"); blobs != 6 || records != 2 {
			t.Errorf("cut off at call %d: %d keys of contents and %d records are left, want 6 and 2", at, blobs, records)
		}
	}
}

// Only the judge removes anything: one that is not any more finds out by its own
// transaction.
func TestOnlyTheJudgeRemoves(t *testing.T) {
	k := newKeeping(t, etcdstore.Config{})
	k.policy(config.Policy{HistoryCount: 1})
	k.at("gone", true, 90, 60)
	k.publish("app", "1")
	k.publish("app", "2")
	before := k.keys("bulk/")
	deposed := func(n int) {
		if n == 1 {
			if _, err := k.client.Put(t.Context(), "/muster/1/judge", "another"); err != nil {
				t.Error(err)
			}
		}
	}
	if _, _, err := k.tryPass(t.Context(), deposed); !errors.Is(err, etcdstore.ErrNotJudge) {
		t.Errorf("a pass of who is the judge no more = %v, want ErrNotJudge", err)
	}
	if after := k.keys("bulk/"); after != before {
		t.Errorf("of %d keys %d are left, want all", before, after)
	}
}

// A judge whose snapshot is behind does not forget what has come back meanwhile.
func TestNothingIsForgottenThatCameBack(t *testing.T) {
	var lose atomic.Bool
	k := newKeeping(t, etcdstore.Config{}, func(s *etcdstore.Store) { etcdstore.Spoil(s, without(&lose, "/cfg/")) })
	k.at("gone", true, 90, 60)
	other := config.New(runStore(t, k.client).Configs(), config.Config{})
	lose.Store(true)
	if _, _, err := other.Release(t.Context(), config.ReleaseDraft{Draft: config.Draft{Key: keyOf("gone"), Content: []byte("x")},
		Name: "beta", Rule: config.Rule{Tag: "x"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		k.pass(nil)
	}
	if records, sequences := k.keys("bulk/his/"), k.keys("cfg/seq/"); records != 3 || sequences != 1 {
		t.Errorf("%d records and %d sequences are left, want 3 and 1", records, sequences)
	}
}

// Very many contents are gone through slice by slice, in the clear and sealed:
// none is passed over.
func TestContentsAreGoneThroughInSlices(t *testing.T) {
	etcdstore.CutContents(t)
	k := newKeeping(t, etcdstore.Config{Vault: newVault(t)})
	k.policy(config.Policy{HistoryCount: 1})
	const versions = 100
	for n := range versions {
		k.publish("app", fmt.Sprint("version ", n))
		k.publish("cipher-app", fmt.Sprint("version ", n))
	}
	if trimmed, removed := k.pass(nil); trimmed != 2*(versions-1) || removed != 2*(versions-2) {
		t.Errorf("%d records and %d contents were removed, want %d and %d", trimmed, removed, 2*(versions-1), 2*(versions-2))
	}
	k.intact()
}

// What cannot be read may refer to any content.
func TestNothingIsRemovedWhileARecordCannotBeRead(t *testing.T) {
	for _, key := range []string{"cfg/doc/public/g/bad", "cfg/new/public/g/bad", "bulk/his/public/g/bad/0000000000000001", "bulk/his/bad"} {
		k := newKeeping(t, etcdstore.Config{})
		if _, err := k.client.Put(t.Context(), "/muster/1/"+key, "["); err != nil {
			t.Fatal(err)
		}
		if _, err := k.client.Put(t.Context(), "/muster/1/bulk/blob/unused/head", "{}"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := k.tryPass(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "bad") {
			t.Errorf("a pass that meets %s = %v, want an error that names it", key, err)
		}
		if k.keys("bulk/blob/") != 1 {
			t.Errorf("a pass that meets %s removed a content", key)
		}
	}
}

// The chunks of a long content go ahead of it. When they are removed before it
// comes, it is written once more.
func TestChunksThatAreRemovedAheadOfTheirContent(t *testing.T) {
	for name, cfg := range map[string]etcdstore.Config{"app": {}, "cipher-app": {Vault: newVault(t)}} {
		k := newKeeping(t, cfg)
		k.chunked.Store(new(sync.OnceFunc(func() {
			k.pass(nil)
			k.publish("other", "something")
			if _, removed := k.pass(nil); removed != 1 {
				t.Errorf("%s: %d contents were removed, want the one that is under way", name, removed)
			}
		})))
		content := strings.Repeat("0123456789", 100000)
		d := k.publish(name, content)
		k.intact()
		if got, err := k.center.Content(t.Context(), d); err != nil || string(got) != content {
			t.Errorf("content of %s = %d bytes, %v, want %d", name, len(got), err, len(content))
		}
	}
}

// Writers and passes at the same time: nothing that was acknowledged is lost.
func TestPassesBesideWriters(t *testing.T) {
	k := newKeeping(t, etcdstore.Config{Vault: newVault(t)})
	k.policy(config.Policy{HistoryCount: 2})
	contents := []string{"a", "b", "c", strings.Repeat("long ", 150000)}
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			name := []string{"app", "cipher-app"}[w%2]
			for n := range 60 {
				k.publish(name, contents[(n*7+w)%len(contents)])
				if n%10 == 9 {
					if _, _, err := k.center.Delete(t.Context(), keyOf(name), config.Condition{}, config.Author{}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { writers.Wait(); close(written) }()
	passes, removed := 0, 0
	for done := false; !done; passes++ {
		select {
		case <-written:
			done = true
		default:
		}
		_, n := k.pass(nil)
		removed += n
	}
	k.intact()
	if removed == 0 {
		t.Errorf("%d passes removed no content", passes)
	}
}

func TestReferencesTakeLittleRoom(t *testing.T) {
	set := etcdstore.NewReferences()
	const documents, versions = 20_000, 10
	for d := range documents {
		for v := range versions {
			set.Add(fmt.Sprint("digest of version ", v, " of ", d))
			set.Add(fmt.Sprint("digest of version ", v-1, " of ", d)) // that it was before
		}
	}
	set.Settle()
	for d := 0; d < documents; d += 1000 {
		if !set.Has(fmt.Sprint("digest of version ", d%versions, " of ", d)) {
			t.Fatalf("a digest of document %d is missing", d)
		}
		if set.Has(fmt.Sprint("digest of version ", versions, " of ", d)) {
			t.Fatalf("a digest of document %d was never added", d)
		}
	}
	if bytes := set.Bytes(); bytes > 6<<20 {
		t.Errorf("the digests of %d versions take %d bytes, want at most 6 MiB", documents*versions, bytes)
	}
}

func TestUpkeepRunsByItself(t *testing.T) {
	k := newKeeping(t, etcdstore.Config{UpkeepEvery: 60 * time.Millisecond})
	k.policy(config.Policy{HistoryCount: 1})
	for n := range 5 {
		k.publish("app", fmt.Sprint(n))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var upkeep sync.WaitGroup
	upkeep.Go(func() {
		if err := k.store.Configs().Upkeep(ctx); err != nil {
			t.Errorf("Upkeep() = %v, want nil", err)
		}
	})
	eventually(t, time.Minute, "history is trimmed and its contents are removed", func() bool {
		return k.keys("bulk/his/") == 1 && k.keys("bulk/blob/") == 4 // what it was before may be asked for
	})
	cancel()
	upkeep.Wait()
}
