package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.uber.org/zap"
)

// askTimeout is how long a member may take to answer who it is.
const askTimeout = time.Second

// asker asks other members over the port they have for each other, the only one
// they have.
type asker struct{ http *http.Client }

// newAsker returns nil without a cluster: then there is nobody to ask.
func newAsker(c *Cluster) (*asker, error) {
	if c == nil {
		return nil, nil
	}
	ec := embed.NewConfig()
	if err := c.apply(ec); err != nil {
		return nil, err
	}
	conf, err := ec.PeerTLSInfo.ClientConfig()
	if err != nil {
		return nil, err
	}
	return &asker{&http.Client{Timeout: askTimeout, Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}}, nil
}

// answer is what a member says of its cluster.
type answer struct {
	cluster string // its id, in hexadecimal
	members []struct {
		Name     string   `json:"name"`
		PeerURLs []string `json:"peerURLs"`
	}
}

// addresses returns the addresses of the members, sorted.
func (a answer) addresses() []string {
	var all []string
	for _, m := range a.members {
		for _, u := range m.PeerURLs {
			all = append(all, strings.TrimPrefix(u, "https://"))
		}
	}
	slices.Sort(all)
	return all
}

const maxAnswer = 1 << 20

func (a *asker) ask(ctx context.Context, address string) (answer, error) {
	u := peerURL(address)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String()+"/members", nil)
	if err != nil {
		return answer{}, err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	said := answer{cluster: resp.Header.Get("X-Etcd-Cluster-ID")}
	if resp.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("%s answers %s", address, resp.Status)
	}
	return said, json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&said.members)
}

// askAll returns the answers of those that answer, by address.
func (a *asker) askAll(ctx context.Context, addresses []string) map[string]answer {
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		all = make(map[string]answer)
	)
	for _, address := range addresses {
		wg.Go(func() {
			if said, err := a.ask(ctx, address); err == nil {
				mu.Lock()
				defer mu.Unlock()
				all[address] = said
			}
		})
	}
	wg.Wait()
	return all
}

// others returns the addresses of all that initial names, but for this one.
func (c *Cluster) others() ([]string, error) {
	initial, err := c.initial()
	if err != nil {
		return nil, err
	}
	delete(initial, c.Name)
	return slices.Sorted(maps.Values(initial)), nil
}

// checkPeers keeps an empty server from founding a second cluster beside one
// that is there: half of the servers would then answer from nothing.
func (c *Cluster) checkPeers(ctx context.Context, ec *embed.Config) error {
	if c == nil || c.Join {
		return nil
	}
	if _, err := os.Stat(filepath.Join(ec.Dir, "member", "wal")); err == nil {
		return nil // founded long ago
	}
	urls, token, err := ec.PeerURLsMapAndToken("etcd")
	if err != nil {
		return err
	}
	// The id follows from names and addresses: all who found a cluster together
	// agree on it, and one that has grown later has another.
	founded, err := membership.NewClusterFromURLsMap(zap.NewNop(), token, urls)
	if err != nil {
		return err
	}
	return c.checkSame(ctx, founded.ID().String())
}

// checkSame returns an error when a server that initial names is in another
// cluster than the one of this id.
func (c *Cluster) checkSame(ctx context.Context, id string) error {
	if c == nil {
		return nil
	}
	a, err := newAsker(c)
	if err != nil {
		return err
	}
	others, err := c.others()
	if err != nil {
		return err
	}
	for address, said := range a.askAll(ctx, others) {
		if said.cluster != id {
			return fmt.Errorf("initial: the server at %s runs in another cluster, of the members at %s: to let this one in, "+
				"add it there, and start it with an empty directory and join", address, strings.Join(said.addresses(), ", "))
		}
	}
	return nil
}
