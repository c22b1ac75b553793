package etcdstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/etcdstore"
	"github.com/musterhq/muster/etcdstore/embedded"
)

// putDocuments writes documents as many publishes would have, far faster.
func putDocuments(b *testing.B, client *clientv3.Client, documents int) {
	b.Helper()
	var ops []clientv3.Op
	for i := range documents {
		k := config.Key{Namespace: fmt.Sprint("team-", i%10), Group: "DEFAULT_GROUP", DataID: fmt.Sprintf("service-%06d.properties", i)}
		content := fmt.Sprint("content of ", k.DataID)
		d := config.Document{Key: k, Seq: 1, Type: "properties", Size: len(content), Created: time.Now(), Modified: time.Now(), IP: "192.0.2.1"}
		d.MD5, d.Digest = config.Sum([]byte(content))
		tail := k.String()
		for key, value := range map[string]any{"cfg/doc/" + tail: d, "cfg/seq/" + tail: 1, "bulk/blob/" + d.Digest + "/0000": content,
			"bulk/blob/" + d.Digest + "/head":        map[string]int{"size": d.Size, "chunks": 1},
			"bulk/his/" + tail + "/0000000000000001": config.History{Op: config.OpInsert, Head: d, At: time.Now()}} {
			text, err := json.Marshal(value)
			if err != nil {
				b.Fatal(err)
			}
			ops = append(ops, clientv3.OpPut("/muster/1/"+key, string(text)))
		}
		if len(ops) < 100 && i < documents-1 {
			continue
		}
		if _, err := client.Txn(b.Context()).Then(append(ops, clientv3.OpPut("/muster/1/cfg/gen", ""))...).Commit(); err != nil {
			b.Fatal(err)
		}
		ops = ops[:0]
	}
}

// BenchmarkRestart is the start of an etcd and a store over 100,000 documents.
func BenchmarkRestart(b *testing.B) {
	dir := b.TempDir()
	start := func() (*embedded.Etcd, func()) {
		e, err := embedded.Start(b.Context(), embedded.Config{Dir: dir, NoSync: true})
		if err != nil {
			b.Fatal(err)
		}
		return e, func() {
			if err := e.Close(); err != nil {
				b.Error(err)
			}
		}
	}
	e, stop := start()
	putDocuments(b, e.Client(), 100000)
	stop()
	var inEtcd, inStore time.Duration
	for b.Loop() {
		began := time.Now()
		e, stop := start()
		inEtcd += time.Since(began)
		began = time.Now()
		ctx, cancel := context.WithCancel(b.Context())
		s := etcdstore.New(e.Client(), etcdstore.Config{})
		var running sync.WaitGroup
		running.Go(func() { _ = s.Run(ctx) })
		for !s.Ready() {
			<-time.After(time.Millisecond)
		}
		inStore += time.Since(began)
		if n := s.Configs().View().Snapshot().Len(); n != 100000 {
			b.Fatalf("%d documents, want 100000", n)
		}
		cancel()
		running.Wait()
		stop()
	}
	b.ReportMetric(inEtcd.Seconds()/float64(b.N), "s-etcd")
	b.ReportMetric(inStore.Seconds()/float64(b.N), "s-store")
}
