package listeners_test

import (
	"bufio"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster/test/binary"
)

const group = "DEFAULT_GROUP"

// polls is how many long polls the server holds.
const polls = `nacos_monitor{module="config",name="longPolling"}`

// server is a running `muster server` as these tests ask it.
type server struct {
	*binary.Server

	t *testing.T
}

func startServer(t *testing.T, muster string) *server {
	t.Helper()
	return &server{binary.StartServer(t, muster, "--dns", "127.0.0.1:0", "--min-free", "0"), t}
}

func sum(content string) string {
	b := md5.Sum([]byte(content))
	return hex.EncodeToString(b[:])
}

// publish publishes a document, over moments in which a busy machine has the server
// think that its store is away.
func (s *server) publish(id, content string) (err error) {
	binary.Poll(patience, func() bool {
		err = s.tryPublish(id, content)
		return !errors.Is(err, errNotNow)
	}, s.t.Context().Done())
	return err
}

var errNotNow = errors.New("not now")

func (s *server) tryPublish(id, content string) error {
	form := url.Values{"dataId": {id}, "group": {group}, "content": {content}}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.HTTP+"/nacos/v1/cs/configs", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusServiceUnavailable {
		return fmt.Errorf("publish %s: %w", id, errNotNow)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || string(body) != "true" {
		return fmt.Errorf("publish %s: %s %q, %w", id, resp.Status, body, err)
	}
	return nil
}

// publishEach publishes many documents, several at a time.
func (s *server) publishEach(ids []string, content func(id string) string) {
	s.t.Helper()
	next := make(chan string)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for id := range next {
				if err := s.publish(id, content(id)); err != nil {
					s.t.Error(err)
				}
			}
		})
	}
	for _, id := range ids {
		next <- id
	}
	close(next)
	wg.Wait()
}

// metric returns one value that the server publishes of itself.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.HTTP+"/metrics", http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return v
		}
	}
	s.t.Fatalf("no metric %s", name)
	return 0
}

// resident returns the memory that the server's process has, in bytes.
func (s *server) resident() int64 {
	s.t.Helper()
	_, rest, _ := strings.Cut(s.proc("status"), "VmRSS:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return kib << 10
}

// cpu returns the time that the server's process has computed.
func (s *server) cpu() time.Duration {
	s.t.Helper()
	_, rest, _ := strings.Cut(s.proc("stat"), ") ") // the name of the program may hold anything
	var ticks int64
	for _, field := range strings.Fields(rest)[11:13] { // of user and system
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			s.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}

func (s *server) proc(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.PID(), name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}
