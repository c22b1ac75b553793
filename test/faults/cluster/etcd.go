package cluster

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Etcd is one member of an external etcd, on a node of its own.
type Etcd struct {
	process

	Name string

	client, peer string // host:port
}

// prepareEtcds makes the members of the external etcd and tells the servers of
// them.
func (c *Cluster) prepareEtcds() error {
	var initial []string
	for i := range c.cfg.External {
		e := &Etcd{Name: fmt.Sprint("e", i+1)}
		address, err := c.cfg.Network.Node(e.Name)
		if err != nil {
			return err
		}
		if e.client, err = c.listen(address, 2379); err != nil {
			return err
		}
		if e.peer, err = c.listen(address, 2380); err != nil {
			return err
		}
		initial = append(initial, e.Name+"=http://"+e.peer)
		c.Etcds = append(c.Etcds, e)
	}
	for _, e := range c.Etcds {
		args := []string{
			"--name", e.Name, "--data-dir", filepath.Join(c.cfg.Dir, e.Name), "--log-level", "warn",
			"--listen-client-urls", "http://" + e.client, "--advertise-client-urls", "http://" + e.client,
			"--listen-peer-urls", "http://" + e.peer, "--initial-advertise-peer-urls", "http://" + e.peer,
			"--initial-cluster", strings.Join(initial, ","),
		}
		e.process = process{name: e.Name, log: filepath.Join(c.cfg.Dir, e.Name+".log"), command: func() *exec.Cmd {
			return c.cfg.Network.Command(e.Name, c.cfg.Etcd, args...)
		}}
		for _, s := range c.Servers {
			reached, err := c.cfg.Network.Route(s.Name, e.Name, e.client)
			if err != nil {
				return err
			}
			s.args = append(s.args, "--etcd", "http://"+reached)
		}
	}
	return nil
}
