package contest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/musterhq/muster/test/binary"
)

func startCoreDNSFile(tb testing.TB, n Needs, _ int) *Contestant {
	tb.Helper()
	zone := write(tb, tb.TempDir(), "zone", ZoneFile())
	return startCoreDNS(tb, n, &Contestant{Name: "coredns-file"}, "file "+zone)
}

func startCoreDNSEtcd(tb testing.TB, n Needs, _ int) *Contestant {
	tb.Helper()
	clients, peers := loopback(freePort(tb)), loopback(freePort(tb))
	etcd := binary.StartEtcd(tb, n.Etcd, clients.String(), peers.String())
	if err := fill(tb.Context(), etcd.URL); err != nil {
		tb.Fatal(err)
	}
	c := &Contestant{Name: "coredns-etcd", Relative: true, etcd: etcd.Process}
	return startCoreDNS(tb, n, c, "etcd {\n        path /skydns\n        endpoint "+etcd.URL+"\n    }")
}

func startCoreDNS(tb testing.TB, n Needs, c *Contestant, backend string) *Contestant {
	tb.Helper()
	c.Version, c.Address, c.Names = version(tb, `CoreDNS-(\S+)`, n.CoreDNS, "-version"), loopback(freePort(tb)), Ours
	corefile := fmt.Sprintf("%s:%d {\n    bind 127.0.0.1\n    errors\n    loadbalance\n    %s\n}\n", Zone, c.Address.Port(), backend)
	c.process = binary.Start(tb, n.CoreDNS, "-conf", write(tb, tb.TempDir(), "Corefile", corefile))
	c.await(tb)
	return c
}

// fill writes the zone as CoreDNS's etcd plugin reads it.
func fill(ctx context.Context, url string) error {
	type put struct {
		Put struct {
			Key   string `json:"key"`
			Value string `json:"value"`
		} `json:"request_put"`
	}
	encode := base64.StdEncoding.EncodeToString
	var puts []put
	for s := range Service(Services) {
		for i, w := range Weights {
			var p put
			p.Put.Key = encode(fmt.Appendf(nil, "/skydns/test/bench/svc/%s/i%d", s.Name(), i))
			p.Put.Value = encode(fmt.Appendf(nil, `{"host":"%s","port":%d,"priority":0,"weight":%d,"ttl":%d}`, s.Instance(i), Port, w, TTL))
			puts = append(puts, p)
		}
		if len(puts) < 100 && s != Services-1 {
			continue
		}
		if err := send(ctx, http.MethodPost, url+"/v3/kv/txn", map[string]any{"success": puts}); err != nil {
			return err
		}
		puts = nil
	}
	return nil
}

// send makes a call over HTTP with a body of JSON.
func send(ctx context.Context, method, url string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s (%w)", method, url, resp.Status, answer, err)
	}
	return nil
}
