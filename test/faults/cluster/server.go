package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/internal/authority"
	"github.com/musterhq/muster/test/faults/sandbox"
)

// Server is one `muster server` on a node of its own. It keeps its addresses
// over restarts.
type Server struct {
	process

	Name string
	HTTP string // host:port
	DNS  string // host:port
	Data string // its data directory

	address string
	args    []string
	mounted bool
	client  *http.Client
}

// Command returns a command of muster on the host of a server.
func (c *Cluster) Command(on *Server, args ...string) *exec.Cmd {
	return c.cfg.Network.Command(on.Name, c.cfg.Muster, args...)
}

// newServer makes the node of a server and its arguments but for the store.
func (c *Cluster) newServer(name string) (*Server, error) {
	address, err := c.cfg.Network.Node(name)
	if err != nil {
		return nil, err
	}
	s := &Server{Name: name, address: address, Data: filepath.Join(c.cfg.Dir, name),
		client: &http.Client{Transport: &http.Transport{}}}
	if s.HTTP, err = c.listen(address, 8848); err != nil {
		return nil, err
	}
	if s.DNS, err = c.listen(address, 1053); err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.Data, 0o700); err != nil {
		return nil, err
	}
	if c.cfg.Room > 0 {
		if err := sandbox.Tmpfs(s.Data, c.cfg.Room); err != nil {
			return nil, err
		}
		s.mounted = true
	}
	s.args = append([]string{"server", "--http", s.HTTP, "--dns", s.DNS, "--data-dir", s.Data, "--auth", "off", "--insecure", "--log-level", "info"}, c.cfg.Args...)
	s.process = process{name: name, log: filepath.Join(c.cfg.Dir, name+".log"), command: func() *exec.Cmd {
		cmd := c.cfg.Network.Command(name, c.cfg.Muster, s.args...)
		cmd.Dir = c.cfg.Dir
		cmd.Env = append(os.Environ(), c.cfg.Env...)
		return cmd
	}}
	return s, nil
}

func (c *Cluster) listen(address string, usual int) (string, error) {
	port, err := c.cfg.Network.Port(usual)
	return net.JoinHostPort(address, strconv.Itoa(port)), err
}

// preparePeers makes the embedded etcds of all servers one cluster.
func (c *Cluster) preparePeers() error {
	var initial []string
	peers := make(map[*Server]string)
	signs, err := authority.New(c.cfg.Dir)
	if err != nil {
		return err
	}
	for _, s := range c.Servers {
		if peers[s], err = c.listen(s.address, 2380); err != nil {
			return err
		}
		initial = append(initial, s.Name+"="+peers[s])
	}
	for _, s := range c.Servers {
		cert, key, err := signs.Issue(s.Name+"-peer", s.address, 24*time.Hour)
		if err != nil {
			return err
		}
		s.args = append(s.args, "--name", s.Name, "--peer", peers[s], "--initial-cluster", strings.Join(initial, ","),
			"--peer-cert", cert, "--peer-key", key, "--peer-ca", signs.File)
	}
	return nil
}

// URL returns the URL of the server's HTTP edge.
func (s *Server) URL() string { return "http://" + s.HTTP }

// Ready waits until the server says that it is ready. It fails at once when the
// server has ended.
func (s *Server) Ready(ctx context.Context) error {
	for {
		if s.ready(ctx) {
			return nil
		}
		if !s.Running() {
			return fmt.Errorf("%s has ended before it was ready:\n%s", s.Name, s.Log(30))
		}
		if err := rest(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%s is not ready: %w\n%s", s.Name, err, s.Log(30))
		}
	}
}

func (s *Server) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	resp, err := s.get(ctx, "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Status returns what the server says of itself.
func (s *Server) Status(ctx context.Context) (api.Status, error) {
	return fetch[api.Status](ctx, s, api.PathStatus)
}

// Peers returns the servers that this one knows of.
func (s *Server) Peers(ctx context.Context) (api.ServerList, error) {
	return fetch[api.ServerList](ctx, s, api.PathServers)
}

func fetch[T any](ctx context.Context, s *Server, path string) (v T, err error) {
	resp, err := s.get(ctx, path)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s of %s: %s: %s", path, s.Name, resp.Status, b)
	}
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	return v, err
}

func (s *Server) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	return s.client.Do(req)
}

// KillStore kills what the server has started: the process of its embedded
// etcd. The server goes on. It returns how many there were.
func (s *Server) KillStore() (int, error) {
	children := s.Children()
	for _, pid := range children {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return 0, err
		}
	}
	return len(children), nil
}

// Fill fills the file system of the data directory up to so many bytes that are
// left free. It needs [Config.Room].
func (s *Server) Fill(left int64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(s.Data, &fs); err != nil {
		return err
	}
	take := int64(fs.Bavail)*fs.Bsize - left
	if take <= 0 {
		return nil
	}
	f, err := os.OpenFile(s.ballast(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	return syscall.Fallocate(int(f.Fd()), 0, at, take)
}

// Free gives the room back that Fill took.
func (s *Server) Free() error { return os.Remove(s.ballast()) }

func (s *Server) ballast() string { return filepath.Join(s.Data, "ballast") }

func (s *Server) releaseRoom() error {
	s.client.CloseIdleConnections()
	if !s.mounted {
		return nil
	}
	s.mounted = false
	return sandbox.Unmount(s.Data)
}
