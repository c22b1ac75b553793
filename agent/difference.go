package agent

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/musterhq/muster/agent/calls"
	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/diff"
)

// Difference says what is not as it should be: definitions that are not taken up,
// instances that the servers have otherwise, and configuration files that would
// change, with their contents if those are asked for. It touches nothing.
func (a *Agent) Difference(ctx context.Context, contents bool) calls.Difference {
	d := calls.Difference{Definitions: []calls.Entry{}, Servers: []calls.Entry{}, Configs: []calls.ConfigPlan{}}
	a.pending(&d)
	entries, err := a.unlikeServers(ctx)
	d.Servers = append(d.Servers, entries...)
	d.ServersError = text(err)
	plans, err := a.planned(ctx, contents)
	d.Configs = append(d.Configs, plans...)
	d.ConfigsError = text(err)
	return d
}

// pending adds what of the definitions does not count.
func (a *Agent) pending(d *calls.Difference) {
	_, definitions := a.sources.Status()
	for _, f := range definitions {
		if f.Error != "" || len(f.Problems) > 0 {
			e := calls.Entry{Of: f.Origin, Kind: calls.EntryWrong, What: slices.Clone(f.Problems)}
			if f.Error != "" {
				e.What = append([]string{f.Error}, e.What...)
			}
			d.Definitions = append(d.Definitions, e)
		}
	}
	pending, err := a.sources.Pending()
	d.DefinitionsError = text(err)
	kinds := map[string]string{"added": calls.EntryMissing, "changed": calls.EntryDiffers, "removed": calls.EntryExtra}
	for _, name := range slices.Sorted(maps.Keys(pending)) {
		d.Definitions = append(d.Definitions, calls.Entry{Of: "file " + name, Kind: kinds[pending[name]], What: []string{pending[name] + " since it was last read"}})
	}
}

// unlikeServers returns what the agent declares and the servers have otherwise, in
// the services of which it declares something.
func (a *Agent) unlikeServers(ctx context.Context) ([]calls.Entry, error) {
	set, _ := a.roll.Set()
	here := make(map[client.Name][]api.AgentInstance)
	for _, m := range set {
		n := client.Name{Namespace: m.Namespace, Group: m.Group, Name: m.Service}
		here[n] = append(here[n], m)
	}
	var all []calls.Entry
	witness := "agent/" + a.agentID()
	for _, n := range slices.SortedFunc(maps.Keys(here), func(x, y client.Name) int { return strings.Compare(x.String(), y.String()) }) {
		list, err := a.client.Instances(ctx, n, client.InstanceQuery{})
		if err != nil && !errors.Is(err, client.ErrNotFound) {
			return all, err
		}
		all = append(all, compareService(n, here[n], list.Instances, witness)...)
	}
	for i, e := range all {
		for _, m := range set {
			k := roll.Key{Namespace: m.Namespace, Group: m.Group, Service: m.Service, Address: m.Address, Port: m.Port}
			if k.String() == e.Of {
				all[i].Reason, _ = a.announce.Refused(k)
			}
		}
	}
	return all, nil
}

// compareService returns how the instances of one service that are declared here
// differ from those that the servers have.
func compareService(n client.Name, here []api.AgentInstance, there []api.Instance, witness string) (all []calls.Entry) {
	known := make(map[string]api.Instance, len(there))
	for _, i := range there {
		known[client.Endpoint(i.Address, i.Port)] = i
	}
	declared := make(map[string]bool, len(here))
	for _, m := range here {
		endpoint := client.Endpoint(m.Address, m.Port)
		declared[endpoint] = true
		i, ok := known[endpoint]
		if !ok {
			all = append(all, calls.Entry{Of: n.String() + "/" + endpoint, Kind: calls.EntryMissing})
			continue
		}
		if what := unlike(m, i, witness); len(what) > 0 {
			all = append(all, calls.Entry{Of: n.String() + "/" + endpoint, Kind: calls.EntryDiffers, What: what})
		}
	}
	for _, i := range there {
		if endpoint := client.Endpoint(i.Address, i.Port); i.Witness == witness && !declared[endpoint] {
			all = append(all, calls.Entry{Of: n.String() + "/" + endpoint, Kind: calls.EntryExtra})
		}
	}
	return all
}

// unlike returns the fields in which m and i differ.
func unlike(m api.AgentInstance, i api.Instance, witness string) (what []string) {
	say := func(field string, here, there any) {
		if fmt.Sprint(here) != fmt.Sprint(there) {
			what = append(what, fmt.Sprintf("%s: %v here, %v at the servers", field, here, there))
		}
	}
	say("vouched for by", witness, i.Witness)
	say("cluster", cmp.Or(m.Cluster, "DEFAULT"), cmp.Or(i.Cluster, "DEFAULT"))
	say("weight", valueOr(m.Weight, 1), valueOr(i.Weight, 1))
	say("enabled", valueOr(m.Enabled, true), valueOr(i.Enabled, true))
	if m.Health != api.HealthUnknown {
		say("healthy", m.Health == api.HealthPassing, valueOr(i.Healthy, true))
	}
	if !maps.Equal(m.Metadata, i.Metadata) {
		what = append(what, fmt.Sprintf("metadata: %d keys here, %d at the servers, not the same", len(m.Metadata), len(i.Metadata)))
	}
	return what
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// planned returns what would become of the configuration files that are not in
// step. The files that are kept meanwhile are not touched.
func (a *Agent) planned(ctx context.Context, contents bool) ([]calls.ConfigPlan, error) {
	if len(a.cfg.Files)+len(a.cfg.Bundles)+len(a.cfg.Mirrors) == 0 {
		return nil, nil
	}
	k, err := configfile.New(configfile.Config{
		Files: a.cfg.Files, Bundles: a.cfg.Bundles, Mirrors: a.cfg.Mirrors, Dir: filepath.Join(a.cfg.DataDir, "configs"), Namespace: a.cfg.Namespace,
		Logger: a.cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	changes, err := k.Plan(ctx, a.client)
	if err != nil {
		return nil, err
	}
	var all []calls.ConfigPlan
	for _, c := range changes {
		if c.Err == nil && (c.Same || c.Old != nil && bytes.Equal(c.Old, c.New)) {
			continue
		}
		p := calls.ConfigPlan{Path: c.Path, Name: c.Name, From: c.From, Error: text(c.Err), Removed: c.Err == nil && c.New == nil}
		if contents && c.Err == nil && utf8.Valid(c.Old) && utf8.Valid(c.New) {
			label := filepath.Join(c.Path, c.Name)
			p.Diff = diff.Unified(diff.Text{Label: label, Content: c.Old}, diff.Text{Label: label, Content: c.New})
		}
		all = append(all, p)
	}
	return all, nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
