package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/test/faults/history"
)

// member is one agent in this process.
type member struct {
	id    string
	keys  []history.Key
	taken atomic.Bool
}

// startAgents starts the agents. Each reaches every server through a door that
// writes down what became of its beats, in an order of its own.
func (l *Load) startAgents(ctx context.Context) error {
	if l.cfg.Agents == 0 {
		return nil
	}
	members := make(map[string]*member)
	for i := range l.cfg.Agents {
		m := &member{id: fmt.Sprint("agent-", i)}
		for n := range l.cfg.InstancesPerAgent {
			k := history.Key{
				Service:  service((i*l.cfg.InstancesPerAgent + n) % l.cfg.Services),
				Endpoint: fmt.Sprintf("10.2.%d.%d:%d", i/250, i%250+1, 9000+n),
			}
			m.keys = append(m.keys, k)
			l.cfg.Recorder.Join(k, l.cfg.Timeouts)
		}
		members[m.id] = m
		l.agents = append(l.agents, m)
	}
	var urls []string
	for _, t := range l.cfg.Servers {
		d, err := openDoor(ctx, t, l.cfg.Recorder, members)
		if err != nil {
			return err
		}
		l.doors = append(l.doors, d)
		l.running.Go(d.serve)
		urls = append(urls, "http://"+d.listener.Addr().String())
	}
	for i, m := range l.agents {
		first := i % len(urls)
		a, err := l.newAgent(m, append(append([]string(nil), urls[first:]...), urls[:first]...))
		if err != nil {
			return err
		}
		l.running.Go(func() {
			if err := a.Run(ctx); err != nil {
				l.fail(fmt.Errorf("%s: %w", m.id, err))
			}
		})
	}
	return nil
}

func (l *Load) newAgent(m *member, servers []string) (*agent.Agent, error) {
	services := filepath.Join(l.cfg.Dir, m.id, "services.d")
	if err := os.MkdirAll(services, 0o700); err != nil {
		return nil, err
	}
	type definition struct {
		Name     string            `json:"name"`
		Address  string            `json:"address"`
		Port     json.Number       `json:"port"`
		Metadata map[string]string `json:"metadata"`
	}
	var file struct {
		Services []definition `json:"services"`
	}
	for _, k := range m.keys {
		host, port, _ := strings.Cut(k.Endpoint, ":")
		file.Services = append(file.Services, definition{Name: k.Service, Address: host, Port: json.Number(port), Metadata: l.cfg.metadata()})
	}
	b, err := json.Marshal(file)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(services, "load.json"), b, 0o600); err != nil {
		return nil, err
	}
	return agent.New(agent.Config{
		ID: m.id, DataDir: filepath.Join(l.cfg.Dir, m.id, "data"), Servers: servers, ServicesDir: services,
		HTTP: "127.0.0.1:0", DNS: agent.NoDNS, DrainWait: new(time.Duration), Stay: true, Logger: l.cfg.Logger.With("agent", m.id),
	})
}

// door stands between the agents and one server, and writes down each beat of
// theirs.
type door struct {
	target   Target
	recorder *history.Recorder
	members  map[string]*member
	listener net.Listener
	server   *http.Server
	client   *http.Client
}

func openDoor(ctx context.Context, t Target, r *history.Recorder, members map[string]*member) (*door, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	d := &door{target: t, recorder: r, members: members, listener: listener, client: newHTTP(0)}
	d.server = &http.Server{Handler: d, ReadHeaderTimeout: time.Minute}
	return d, err
}

// serve returns after close.
func (d *door) serve() { _ = d.server.Serve(d.listener) }

func (d *door) close() {
	d.server.Close()
	d.client.CloseIdleConnections()
}

// ServeHTTP passes a call on. A server that cannot be reached is a connection
// that breaks off.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, sign := d.sign(r)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	began := d.recorder.Now()
	answer, err := d.pass(r, body)
	if sign && d.members[id] != nil && !errors.Is(err, context.Canceled) {
		beat := history.Beat{Span: history.Span{Begin: began}, Keys: d.members[id].keys, Server: d.target.Name}
		beat.Accepted = err == nil && isTakenWhole(answer)
		if err != nil {
			beat.Detail = err.Error()
		} else if !beat.Accepted {
			beat.Detail = answer.String()
		}
		d.recorder.Beat(beat)
		if beat.Accepted {
			d.members[id].taken.Store(true)
		}
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.header)
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body) // the agent may have gone away
}

// sign returns whose sign of life a call is.
func (d *door) sign(r *http.Request) (id string, ok bool) {
	rest, ok := strings.CutPrefix(r.URL.Path, api.PathAgents+"/")
	if id, isBeat := strings.CutSuffix(rest, "/beat"); isBeat && r.Method == http.MethodPost {
		return id, ok
	}
	return rest, ok && r.Method == http.MethodPut
}

func (d *door) pass(r *http.Request, body []byte) (reply, error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, d.target.URL+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header = r.Header.Clone()
	resp, err := d.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, b}, err
}

// isTakenWhole reports whether the server holds what the agent declared: it
// neither asks for the set again nor rejects a member.
func isTakenWhole(r reply) bool {
	var answer api.AgentAnswer
	return r.status < 300 && json.Unmarshal(r.body, &answer) == nil && !answer.Resync && len(answer.Rejected) == 0
}
