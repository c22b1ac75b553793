package prometheus_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/peer"
	"github.com/musterhq/muster/test/binary"
)

// prometheus is a running Prometheus.
type prometheus struct {
	*binary.Process

	t  *testing.T
	at string // host:port
}

// startPrometheus starts one that scrapes what each of these URLs lists, as a job of
// that name, every second.
func startPrometheus(t *testing.T, jobs map[string]string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte(configuration(jobs)), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &prometheus{t: t, at: freeAddress(t)}
	p.Process = binary.Start(t, peer.Path(t, "prometheus"), "--config.file", config,
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", p.at)
	p.Await("readiness", func() bool { return binary.Status(t.Context(), "http://"+p.at+"/-/ready") == http.StatusOK })
	return p
}

// configuration keeps, of what is told of a target, what our own endpoint says and
// what that of Nacos says, as labels.
func configuration(jobs map[string]string) string {
	text := "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"
	for name, u := range jobs {
		text += fmt.Sprintf("- job_name: %q\n  http_sd_configs: [{url: %q, refresh_interval: 1s}]\n  relabel_configs:\n", name, u)
		for _, l := range []struct{ source, label string }{
			{"__meta_muster_namespace", "namespace"}, {"__meta_muster_service", "service"},
			{"__meta_muster_cluster", "cluster"}, {"__meta_clusterName", "cluster"},
			{"__meta_muster_metadata_zone_name", "zone"}, {"zone_name", "zone"},
		} {
			text += fmt.Sprintf("  - {source_labels: [%s], regex: (.+), target_label: %s}\n", l.source, l.label)
		}
		text += "  - {regex: zone_name, action: labeldrop}\n"
	}
	return text
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// query returns what an expression is now, one line for each series: its labels,
// ordered, and its value.
func (p *prometheus) query(expression string) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet,
		"http://"+p.at+"/api/v1/query?query="+url.QueryEscape(expression), http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err == nil {
		err = json.Unmarshal(b, &answer)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		p.t.Fatalf("query %s = %d %s, %v", expression, resp.StatusCode, b, err)
	}
	var lines []string
	for _, r := range answer.Data.Result {
		var labels []string
		for name, value := range r.Metric {
			if name != "__name__" && name != "job" {
				labels = append(labels, name+"="+value)
			}
		}
		slices.Sort(labels)
		lines = append(lines, fmt.Sprintf("%s: %v", strings.Join(labels, " "), r.Value[1]))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// awaitQuery polls until an expression is made of these lines.
func (p *prometheus) awaitQuery(expression string, want ...string) {
	p.t.Helper()
	slices.Sort(want)
	text, got := strings.Join(want, "\n"), ""
	if !binary.Poll(time.Minute, func() bool { got = p.query(expression); return got == text }, nil) {
		p.t.Fatalf("%s is\n%s\nwant\n%s", expression, got, text)
	}
}
