package nacos

import "sync"

// polls bounds the long polls held at once, in all and by client.
type polls struct {
	limit, perClient int

	mu       sync.Mutex
	held     int            // guarded by mu
	byClient map[string]int // guarded by mu
}

// enter reports whether a client may have one more held; leave gives it back.
func (p *polls) enter(client string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held >= p.limit || p.byClient[client] >= p.perClient {
		return false
	}
	if p.byClient == nil {
		p.byClient = map[string]int{}
	}
	p.held++
	p.byClient[client]++
	return true
}

// count returns how many are held.
func (p *polls) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

func (p *polls) leave(client string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held--
	if p.byClient[client]--; p.byClient[client] == 0 {
		delete(p.byClient, client)
	}
}
