package track_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/track"
)

// polls is what clients of a number say, each of a number of documents out of
// 1000.
func polls(clients, docs int) (ids []track.Client, keys []config.Key, each func(func(track.Client, config.Key))) {
	for i := range clients {
		ids = append(ids, poll(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&0xff, i&0xff)))
	}
	for i := range 1000 {
		keys = append(keys, config.Key{Namespace: "5f0c1c1c-9a3e-4f86-8d7c-1f4d5ad2c5b1", Group: "DEFAULT_GROUP", DataID: fmt.Sprintf("service-%04d.yaml", i)})
	}
	return ids, keys, func(say func(track.Client, config.Key)) {
		for i, id := range ids {
			for j := range docs {
				say(id, keys[(i+j*37)%len(keys)])
			}
		}
	}
}

func open(b *testing.B, path string) *track.Track {
	b.Helper()
	t, err := track.Open(track.Config{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	return t
}

// write has all written that is to be.
func write(b *testing.B, t *track.Track) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	if err := t.Run(ctx); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkHeardUnchanged: one key of one of 10,000 polls of 10 documents.
func BenchmarkHeardUnchanged(b *testing.B) {
	t := open(b, filepath.Join(b.TempDir(), "track.db"))
	defer t.Close()
	ids, keys, each := polls(10_000, 10)
	md5, now := sum("A"), time.Now()
	each(func(c track.Client, k config.Key) { t.Heard(c, k, md5, now) })
	write(b, t)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c, j := i%len(ids), i%10
		t.Heard(ids[c], keys[(c+j*37)%len(keys)], md5, now)
		i += 7
	}
}

// BenchmarkHeardUnchangedParallel is the same from all processors.
func BenchmarkHeardUnchangedParallel(b *testing.B) {
	t := open(b, filepath.Join(b.TempDir(), "track.db"))
	defer t.Close()
	ids, keys, each := polls(10_000, 10)
	md5, now := sum("A"), time.Now()
	each(func(c track.Client, k config.Key) { t.Heard(c, k, md5, now) })
	write(b, t)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i += 7 {
			c, j := i%len(ids), i%10
			t.Heard(ids[c], keys[(c+j*37)%len(keys)], md5, now)
		}
	})
}

// BenchmarkFirstPolls: 10,000 clients of 10 documents, of whom nothing is known,
// and what they cost in memory and on disk.
func BenchmarkFirstPolls(b *testing.B) {
	_, _, each := polls(10_000, 10)
	md5, now := sum("A"), time.Now()
	for n := 0; b.Loop(); n++ {
		path := filepath.Join(b.TempDir(), fmt.Sprint("track.db", n))
		b.StopTimer()
		t := open(b, path)
		before := heap()
		b.StartTimer()
		each(func(c track.Client, k config.Key) { t.Heard(c, k, md5, now) })
		b.StopTimer()
		begun := time.Now()
		write(b, t)
		b.ReportMetric(float64(time.Since(begun).Milliseconds()), "ms/write")
		b.ReportMetric(float64(heap()-before)/100_000, "B/entry")
		t.Close()
		var stat unix.Stat_t // the file has holes
		if err := unix.Stat(path, &stat); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(stat.Blocks*512)/100_000, "disk-B/entry")
		b.StartTimer()
	}
}

func heap() int64 {
	for range 3 { // pools empty themselves with the second one
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkRestart: open a track of 10,000 clients of 10 documents, and hear all
// of them for the first time.
func BenchmarkRestart(b *testing.B) {
	path := filepath.Join(b.TempDir(), "track.db")
	t := open(b, path)
	_, _, each := polls(10_000, 10)
	md5, now := sum("A"), time.Now()
	each(func(c track.Client, k config.Key) { t.Heard(c, k, md5, now) })
	write(b, t)
	t.Close()
	for b.Loop() {
		begun := time.Now()
		t := open(b, path)
		b.ReportMetric(float64(time.Since(begun).Microseconds())/1000, "ms/open")
		each(func(c track.Client, k config.Key) { t.Heard(c, k, md5, now) })
		t.Close()
	}
}

// BenchmarkHolders: who of 10,000 holds a document, in memory and in the file.
func BenchmarkHolders(b *testing.B) {
	path := filepath.Join(b.TempDir(), "track.db")
	t := open(b, path)
	ids, keys, _ := polls(10_000, 1)
	for _, c := range ids {
		t.Heard(c, keys[0], sum("A"), time.Now())
	}
	ask := func(b *testing.B) {
		for b.Loop() {
			if all, err := t.Holders(keys[0]); len(all) != len(ids) || err != nil {
				b.Fatal(len(all), err)
			}
		}
	}
	b.Run("memory", ask)
	write(b, t)
	t.Close()
	t = open(b, path)
	b.Run("file", ask)
	t.Close()
}

// BenchmarkHeardWhileWritten: what a report costs while others are written. Its
// slowest is what a poll waits for.
func BenchmarkHeardWhileWritten(b *testing.B) {
	t := open(b, filepath.Join(b.TempDir(), "track.db"))
	defer t.Close()
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = t.Run(ctx) })
	defer func() { cancel(); wg.Wait() }()
	ids, keys, _ := polls(10_000, 10)
	md5s := []string{sum("A"), sum("B")}
	var slowest time.Duration
	i := 0
	for b.Loop() {
		c, j := i%len(ids), i%10
		begun := time.Now()
		t.Heard(ids[c], keys[(c+j*37)%len(keys)], md5s[i/100_000%2], begun)
		slowest = max(slowest, time.Since(begun))
		i += 7
	}
	b.ReportMetric(float64(slowest.Microseconds())/1000, "ms-slowest")
}
