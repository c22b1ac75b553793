package sweep_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server/sweep"
)

// model says who has what and since when it was heard of, as simply as it can be said: a
// connection vouches for all it has, is silent after 15 s without a word, and what it has
// is gone after 30 s. Whoever declares an instance has it.
type model struct {
	owners map[registry.InstanceKey]string // a connection, or "http"
	heard  map[string]time.Time            // by owner: those of http by their instance
	silent map[string]bool
	buried map[registry.InstanceKey]time.Time
}

// word notes that an owner was heard of.
func (m *model) word(owner string) { m.heard[owner], m.silent[owner] = time.Now(), false }

func (m *model) take(owner string, k registry.InstanceKey) {
	m.owners[k] = owner
	delete(m.buried, k)
}

func (m *model) bury(k registry.InstanceKey) {
	delete(m.owners, k)
	m.buried[k] = time.Now()
}

// pass lets time pass up to now.
func (m *model) pass() {
	for owner, heard := range m.heard {
		age := time.Since(heard)
		m.silent[owner] = m.silent[owner] || age >= 15*time.Second
		if m.silent[owner] && age >= 30*time.Second {
			maps.DeleteFunc(m.owners, func(_ registry.InstanceKey, o string) bool { return o == owner })
			delete(m.heard, owner)
			delete(m.silent, owner)
		}
	}
}

func (m *model) state(k registry.InstanceKey) string {
	owner := m.owners[k]
	switch {
	case owner == "":
		return gone
	case m.silent[owner]:
		return silent
	}
	return healthy
}

// peer is a client with what it wants to hold, and the server it is connected to.
type peer struct {
	conn   string // empty: none
	server int
	wants  []registry.InstanceKey
	paused bool // its server says nothing of it
}

// play is a house with clients, and the model of what is to be seen in it.
type play struct {
	*house

	rnd   *rand.Rand
	model model
	all   []registry.InstanceKey
	peers []*peer
	gone  [2]map[string]bool // by server, connections that it knows to be lost
	last  int                // connection
	told  []string
}

func (p *play) tell(format string, args ...any) {
	p.told = append(p.told, fmt.Sprintf("%v ", time.Since(start))+fmt.Sprintf(format, args...))
}

var start time.Time

func (p *play) must(err error) {
	if err != nil {
		p.t.Fatalf("%v, after\n%s", err, strings.Join(p.told, "\n"))
	}
}

// declare has a client hold what it wants, over a new connection if it has none.
func (p *play) declare(c *peer) {
	if c.conn == "" {
		p.last++
		c.conn, c.server, c.paused = fmt.Sprint(p.last), p.rnd.IntN(2), false
	}
	var set []registry.Registration
	for _, k := range c.wants {
		set = append(set, beating(k, nil))
	}
	p.tell("%s holds %v", c.conn, c.wants)
	_, err := p.Hold(p.t.Context(), c.conn, p.all[0].Service, set)
	p.must(err)
	for k, owner := range p.model.owners {
		if owner == c.conn && !slices.Contains(c.wants, k) {
			p.model.bury(k)
		}
	}
	for _, k := range c.wants {
		p.model.take(c.conn, k)
	}
	p.model.word(c.conn)
}

// hear has the server of a client say that it lives, and take back what it has lost.
func (p *play) hear(c *peer) {
	p.must(p.HearConnection(p.t.Context(), c.conn))
	p.model.word(c.conn)
	snap := p.Snapshot()
	for _, k := range c.wants {
		if since, ok := p.model.buried[k]; ok && time.Since(since) < 10*time.Second && !snap.Buried(k) {
			p.must(fmt.Errorf("the tombstone of %s does not stand", k))
		}
	}
	c.wants = slices.DeleteFunc(c.wants, func(k registry.InstanceKey) bool { return snap.Instance(k) == nil && snap.Buried(k) })
	var lost []registry.Registration
	for _, k := range c.wants {
		if snap.Lost(k, c.conn, func(id string) bool { return p.gone[c.server][id] }) {
			lost = append(lost, beating(k, nil))
		}
		switch owner := p.model.owners[k]; {
		case owner == "", owner != c.conn && !strings.HasPrefix(owner, "http") && (p.model.silent[owner] || p.gone[c.server][owner]):
			p.model.take(c.conn, k)
		}
	}
	if len(lost) > 0 {
		p.tell("%s regains %d", c.conn, len(lost))
		_, err := p.Regain(p.t.Context(), c.conn, lost, func(id string) bool { return p.gone[c.server][id] })
		p.must(err)
	}
}

// lose ends the connection of a client. Who knows is its server, if that lives.
func (p *play) lose(c *peer, known bool) {
	if c.conn == "" {
		return
	}
	p.tell("%s is lost", c.conn)
	if known {
		p.gone[c.server][c.conn] = true
	}
	c.conn = ""
}

// act does something by chance.
func (p *play) act() {
	n := p.rnd.IntN(len(p.peers))
	c, k := p.peers[n], p.all[p.rnd.IntN(len(p.all))]
	switch p.rnd.IntN(12) {
	case 0, 1, 2: // its own, as a rule
		c.wants = []registry.InstanceKey{p.all[n]}
		if p.rnd.IntN(3) == 0 {
			c.wants = append(c.wants, p.all[(n+1)%len(p.all)])
		}
		p.declare(c)
	case 3, 4:
		p.lose(c, true)
		if p.rnd.IntN(2) == 0 {
			p.declare(c)
		}
	case 5:
		p.lose(c, true)
	case 6:
		if c.conn == "" {
			return
		}
		p.tell("%s lets go, naming %s", c.conn, k.Endpoint.Host)
		_, err := p.LetGo(p.t.Context(), c.conn, k.Service, k.Endpoint)
		p.must(err)
		var had []registry.InstanceKey
		for k, owner := range p.model.owners {
			if owner == c.conn {
				had = append(had, k)
			}
		}
		if owner := p.model.owners[k]; len(had) == 0 && owner != "" && !strings.HasPrefix(owner, "http") {
			had = append(had, k)
		}
		for _, k := range had {
			p.model.bury(k)
		}
		c.wants = nil
	case 7:
		p.tell("%s is deregistered", k.Endpoint.Host)
		_, err := p.Deregister(p.t.Context(), k, true)
		p.must(err)
		if p.model.owners[k] != "" {
			p.model.bury(k)
		}
	case 8:
		p.tell("%s beats for itself", k.Endpoint.Host)
		p.register(k, nil)
		p.model.take("http/"+k.Endpoint.Host, k)
		p.model.word("http/" + k.Endpoint.Host)
	case 9, 10:
		p.tell("%s is paused or not any more", c.conn)
		c.paused = !c.paused
	case 11:
		p.restart()
	}
}

// restart ends a server, which may be the judge.
func (p *play) restart() {
	if p.rnd.IntN(2) == 0 {
		p.tell("another judge begins")
		p.stop()
		p.judge()
		for owner := range p.model.heard {
			p.model.heard[owner] = time.Now()
		}
		return
	}
	server := p.rnd.IntN(2)
	p.tell("server %d ends", server)
	for _, c := range p.peers {
		if c.conn != "" && c.server == server {
			p.lose(c, false)
			if p.rnd.IntN(4) > 0 {
				p.declare(c)
			}
		}
	}
	p.gone[server] = map[string]bool{}
}

func (p *play) compare() {
	p.model.pass()
	for _, k := range p.all {
		if got, want := p.state(k), p.model.state(k); got != want {
			p.t.Fatalf("%v: %s is %s, want %s as %q has it, after\n%s", time.Since(start), k, got, want, p.model.owners[k], strings.Join(p.told[max(0, len(p.told)-60):], "\n"))
		}
		if i, owner := p.Snapshot().Instance(k), p.model.owners[k]; i != nil && !strings.HasPrefix(owner, "http") && p.Snapshot().HeldBy(i) != owner {
			p.t.Fatalf("%v: %s is held by %s, want %s, after\n%s", time.Since(start), k, p.Snapshot().HeldBy(i), owner, strings.Join(p.told[max(0, len(p.told)-60):], "\n"))
		}
	}
}

// round is how far apart actions are: no time of a witness ends at one of them or when
// states are compared, 1 s later.
const round = 4 * time.Second

// TestConnectionsAreAsTheModelSays plays what happens to connections by chance, in virtual
// time: clients that come back on another server, two that declare the same, servers and
// judges that end, words that do not come through.
func TestConnectionsAreAsTheModelSays(t *testing.T) {
	seed, plays, until := uint64(1), 30, time.Now().Add(time.Hour)
	if os.Getenv("MUSTER_LONG") != "" {
		seed, plays, until = uint64(time.Now().UnixNano()), 1<<40, time.Now().Add(3*time.Minute)
	}
	rounds := 0
	for n := 0; n < plays && time.Now().Before(until) && !t.Failed(); n++ {
		t.Run(fmt.Sprintf("seed %d", seed+uint64(n)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start = time.Now()
				h := newHouse(t, sweep.Config{})
				h.judge()
				p := &play{house: h, rnd: rand.New(rand.NewPCG(seed+uint64(n), 0)), gone: [2]map[string]bool{{}, {}},
					model: model{map[registry.InstanceKey]string{}, map[string]time.Time{}, map[string]bool{}, map[registry.InstanceKey]time.Time{}}}
				for i := range 5 {
					p.all, p.peers = append(p.all, endpoint("order-api", fmt.Sprint("192.0.2.", i))), append(p.peers, &peer{})
				}
				for range 200 {
					rounds++
					p.model.pass()
					for range p.rnd.IntN(3) {
						p.act()
					}
					for _, c := range p.peers {
						if c.conn != "" && !c.paused {
							p.hear(c)
						}
					}
					step(time.Second)
					p.compare()
					step(round - time.Second)
				}
				step(time.Minute)
				for v := range h.Snapshot().Idle() {
					t.Errorf("the verdict on %s stands, which holds nothing", v.Key.Witness)
				}
				p.stop()
			})
		})
	}
	t.Logf("%d rounds", rounds)
}
