package server

import (
	"context"
	"iter"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/config"
	"github.com/musterhq/muster/server/waiters"
)

// maxWatchBytes bounds one call that waits: ten thousand long names.
const maxWatchBytes = 8 << 20

type configWatch struct {
	Reader
	Body api.ConfigWatch
}

type configChanges struct{ Body api.ConfigChanges }

func (f *face) watchConfigs(ctx context.Context, in *configWatch) (*configChanges, error) {
	client, err := f.reader(ctx, in.Reader)
	if err != nil {
		return nil, err
	}
	may := f.mayEach(access.From(ctx), access.Read)
	refs := in.Body.Configs
	for i, r := range refs {
		refs[i].Namespace, refs[i].Group = defaulted(r.Namespace, config.DefaultNamespace), defaulted(r.Group, config.DefaultGroup)
		if err := keyOf(refs[i]).Validate(); err != nil {
			return nil, f.failure(err)
		}
		if err := may(refs[i].Namespace, refs[i].Group); err != nil {
			return nil, f.failure(err)
		}
	}
	groups := in.Body.Groups
	for i, g := range groups {
		groups[i].Namespace, groups[i].Group = defaulted(g.Namespace, config.DefaultNamespace), defaulted(g.Group, config.DefaultGroup)
		if err := (config.Key{Namespace: groups[i].Namespace, Group: groups[i].Group, DataID: "any"}).Validate(); err != nil {
			return nil, f.failure(err)
		}
		if err := may(groups[i].Namespace, groups[i].Group); err != nil {
			return nil, f.failure(err)
		}
	}
	f.told.Heard(client, func(yield func(config.Key, string) bool) {
		for _, r := range refs {
			if !yield(keyOf(r), r.MD5) {
				return
			}
		}
	})
	if f.server.polls.Add(1) > f.seats {
		f.server.polls.Add(-1)
		return nil, huma.Error429TooManyRequests("too many calls wait for documents on this server")
	}
	defer f.server.polls.Add(-1)
	timeout := time.NewTimer(time.Duration(in.Body.Wait) * time.Millisecond)
	defer timeout.Stop()
	woken, leave := f.waiters.Join(keysOf(refs, groups))
	defer leave()
	for {
		changes := f.differing(client, refs, groups)
		if len(changes.Changed)+len(changes.Groups) > 0 || in.Body.Wait == 0 {
			return &configChanges{changes}, nil
		}
		select {
		case <-woken:
		case <-timeout.C:
			in.Body.Wait = 0
		case <-f.stopping:
			in.Body.Wait = 0
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err := f.mayStill(ctx, refs, groups); err != nil {
			audit.From(ctx).Because(err.Error())
			return nil, f.authFailure(err)
		}
	}
}

// mayStill returns nil if who waits for documents may read them now, too.
func (f *face) mayStill(ctx context.Context, refs []api.ConfigRef, groups []api.ConfigGroup) error {
	caller, err := againOf(ctx)
	if err != nil {
		return err
	}
	for k := range keysOf(refs, groups) {
		if err := caller.Check(access.Read, configIn(k.Namespace, k.Group)); err != nil {
			return err
		}
	}
	return nil
}

func keyOf(r api.ConfigRef) config.Key {
	return config.Key{Namespace: r.Namespace, Group: r.Group, DataID: r.DataID}
}

func keysOf(refs []api.ConfigRef, groups []api.ConfigGroup) iter.Seq[config.Key] {
	return func(yield func(config.Key) bool) {
		for _, r := range refs {
			if !yield(keyOf(r)) {
				return
			}
		}
		for _, g := range groups {
			if !yield(waiters.Group(g.Namespace, g.Group)) {
				return
			}
		}
	}
}

func (f *face) differing(client config.Client, refs []api.ConfigRef, groups []api.ConfigGroup) api.ConfigChanges {
	changes := api.ConfigChanges{Changed: []api.ConfigRef{}}
	snap := f.configs.Snapshot()
	if snap == nil {
		return changes
	}
	for _, r := range refs {
		if md5, differs := snap.Differs(keyOf(r), client, r.MD5); differs {
			r.MD5 = md5
			changes.Changed = append(changes.Changed, r)
		}
	}
	left := api.MaxGroupNames
	for _, g := range groups {
		names := strconv.FormatUint(snap.Names(g.Namespace, g.Group), 16)
		if names == g.Names {
			continue
		}
		g.Names = names
		all := snap.InGroup(g.Namespace, g.Group)
		if len(all) > left && len(changes.Groups) > 0 {
			continue // the next call tells: groups named many times must not fill the memory
		}
		left -= len(all)
		told := api.ConfigGroupNames{ConfigGroup: g, Total: len(all), DataIDs: make([]string, 0, min(len(all), api.MaxGroupNames))}
		for _, d := range all[:cap(told.DataIDs)] {
			told.DataIDs = append(told.DataIDs, d.Key.DataID)
		}
		changes.Groups = append(changes.Groups, told)
	}
	return changes
}
