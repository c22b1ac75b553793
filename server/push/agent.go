package push

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// clients are the agents that take pushes, and which switch they go by.
var clients = []struct{ agent, client string }{
	{"Nacos-Java-Client", "java"},
	{"Nacos-Go-Client", "go"},
	{"Nacos-C-Client", "c"},
	{"vip-client4cpp", "c"},
	{"Nacos-CSharp-Client", "csharp"},
	{"Nacos-DNS", "python"},
}

// Most bytes of a datagram: what UDP carries over IPv4, and what the Go client
// of version 1 reads, which cannot use a part.
const (
	maxDatagram   = 65507
	maxDatagramGo = 4024
)

// maxFor returns how long a datagram to an agent may be.
func maxFor(agent string) int {
	if strings.HasPrefix(agent, "Nacos-Go-Client") {
		return maxDatagramGo
	}
	return maxDatagram
}

type version [3]int

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// leastVersions are the versions from which clients are told, by client. It is
// replaced, never changed.
type leastVersions map[string]version

var defaultVersions = leastVersions{
	"java": {0, 1, 0}, "go": {0, 1, 0}, "python": {0, 4, 3}, "c": {1, 0, 12}, "csharp": {0, 9, 0},
}

// Accepts reports whether an agent is one that takes pushes, of a version that
// the switch pushVersion lets have them. Nobody is while pushes are off.
func (p *Pusher) Accepts(agent string) bool {
	if p.disabled.Load() {
		return false
	}
	for _, c := range clients {
		if strings.HasPrefix(agent, c.agent) {
			least := (*p.least.Load())[c.client]
			_, text, _ := strings.Cut(agent, ":v")
			v := versionOf(text)
			return slices.Compare(v[:], least[:]) >= 0
		}
	}
	return false
}

// versionOf reads the numbers that text begins with; what is missing is 0.
func versionOf(text string) (v version) {
	for i := range v {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
		v[i], _ = strconv.Atoi(text[:digits])
		if text = text[digits:]; !strings.HasPrefix(text, ".") {
			break
		}
		text = text[1:]
	}
	return v
}

// SetVersion is the switch pushVersion: from which version on a client (java,
// go, python, c or csharp) is told. One that is enrolled stays so until it lapses.
func (p *Pusher) SetVersion(client, from string) error {
	v := versionOf(from)
	if v.String() != from {
		return fmt.Errorf("push version %q of %s is not of the form 1.2.3", from, client)
	}
	for {
		old := p.least.Load()
		if _, ok := (*old)[client]; !ok {
			return fmt.Errorf("unsupported client type: %s", client)
		}
		least := maps.Clone(*old)
		least[client] = v
		if p.least.CompareAndSwap(old, &least) {
			return nil
		}
	}
}
