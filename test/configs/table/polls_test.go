package table_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// prompt is before a poll ends by itself, and enough for a machine that is busy.
const prompt = 15 * time.Second

// polled is the answer to a poll, and how long it took.
type polled struct {
	body string
	took time.Duration
}

// poll waits for a change of a document: the answer comes on the channel.
func poll(t *testing.T, base, listening, ip string) <-chan polled {
	t.Helper()
	answered := make(chan polled, 1)
	form := url.Values{"Listening-Configs": {listening}}.Encode()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/v1/cs/configs/listener", strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Long-Pulling-Timeout", "21000") // two are held through all changes
	req.Header.Set("X-Forwarded-For", ip)
	began := time.Now()
	go func() {
		defer close(answered)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return // the test ends, or sees no answer
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil {
			answered <- polled{string(body), time.Since(began)}
		}
	}()
	return answered
}

// TestHeldPolls has polls held until what concerns their clients changes: cases 42,
// 43 and 53.
func TestHeldPolls(t *testing.T) {
	t.Parallel()
	s := start(t)
	base := "http://" + s.HTTP + "/nacos"
	const ip = "192.0.2.1"
	configs := func(dataID string) string { return base + "/v1/cs/configs?group=g&dataId=" + dataID }
	send := func(method, target, beta string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, target, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if beta != "" {
			req.Header.Set("betaIps", beta)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s = %d", method, target, resp.StatusCode)
		}
	}
	const hello = "5d41402abc4b2a76b9719d911017c592"
	for _, d := range []string{"changed", "deleted", "beta", "quiet"} {
		send(http.MethodPost, configs(d)+"&content=hello", "")
	}
	line := func(d, md5 string) string { return d + "\x02g\x02" + md5 + "\x01" }
	quiet := poll(t, base, line("quiet", hello), ip)
	elsewhere := poll(t, base, line("beta", hello), "192.0.2.2")
	for _, tc := range []struct {
		d, md5         string
		method, change string
		beta           string
	}{
		{"new", "", http.MethodPost, "&content=hello", ""},
		{"changed", hello, http.MethodPost, "&content=new", ""},
		{"deleted", hello, http.MethodDelete, "", ""},
		{"beta", hello, http.MethodPost, "&content=beta", ip},
	} {
		held := poll(t, base, line(tc.d, tc.md5)+line("quiet", hello), ip)
		s.Await("three polls", func() bool {
			return strings.Contains(read(t, base+"/actuator/prometheus"), "nacos_monitor{module=\"config\",name=\"longPolling\"} 3\n")
		})
		changed := time.Now()
		send(tc.method, configs(tc.d)+tc.change, tc.beta)
		got := <-held
		if want := tc.d + "%02g%01\n"; got.body != want || time.Since(changed) > prompt {
			t.Errorf("a poll of %s = %q, %v after the change, want %q within %v", tc.d, got.body, time.Since(changed), want, prompt)
		}
	}
	for name, held := range map[string]<-chan polled{"what did not change": quiet, "another's beta": elsewhere} {
		if got := <-held; got.body != "" || got.took < 20*time.Second || got.took > time.Minute {
			t.Errorf("a poll of %s = %q after %v, want nothing after 20.5 s", name, got.body, got.took)
		}
	}
}
