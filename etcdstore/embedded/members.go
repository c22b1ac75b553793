package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	promoteEvery = 2 * time.Second
	// changeTimeout bounds one question to etcd.
	changeTimeout = 5 * time.Second
	// settle is a little over the time for which etcd wants to have heard of all
	// members before it changes anything about them.
	settle      = 7 * time.Second
	settleRetry = 250 * time.Millisecond
)

// Member is one of the etcds of a cluster.
type Member struct {
	ID       string   `json:"id"`        // hexadecimal
	Name     string   `json:"name"`      // empty before its first start
	PeerURLs []string `json:"peer_urls"` // where the others reach it
	Learner  bool     `json:"learner"`   // follows, and has no vote yet
	Started  bool     `json:"started"`   // it was there at least once
	Leader   bool     `json:"leader"`
	Healthy  bool     `json:"healthy"` // it answers other members just now

	id uint64
}

// String returns how to speak of it.
func (m Member) String() string {
	if m.Name == "" {
		return m.ID + " (" + strings.Join(m.addresses(), ", ") + ")"
	}
	return m.Name + " (" + strings.Join(m.addresses(), ", ") + ")"
}

func (m Member) addresses() []string {
	var all []string
	for _, u := range m.PeerURLs {
		all = append(all, strings.TrimPrefix(u, "https://"))
	}
	return all
}

// Members shows and changes the members of the cluster behind a client.
type Members struct {
	client *clientv3.Client
	log    *slog.Logger
	asker  *asker // nil without a cluster
}

// NewMembers returns the members of the cluster that client belongs to. cfg is
// what its etcd was started with; without a Cluster in it, nobody can be added.
func NewMembers(client *clientv3.Client, cfg Config) (*Members, error) {
	asker, err := newAsker(cfg.Cluster)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Members{client, log, asker}, nil
}

// List returns the members in the order of their ids, as this one knows them
// when no quorum is there to ask. It asks each of them for a sign of life, and
// takes a few seconds when some give none.
func (m *Members) List(ctx context.Context) ([]Member, error) {
	short, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	resp, err := m.client.MemberList(short)
	if err != nil && ctx.Err() == nil {
		resp, err = m.client.MemberList(ctx, clientv3.WithSerializable())
	}
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	return m.examine(ctx, resp)
}

// current is List for a change: there must be a quorum.
func (m *Members) current(ctx context.Context) ([]Member, error) {
	resp, err := m.client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	return m.examine(ctx, resp)
}

func (m *Members) examine(ctx context.Context, resp *clientv3.MemberListResponse) ([]Member, error) {
	status, err := m.client.Status(ctx, m.endpoint())
	if err != nil {
		return nil, fmt.Errorf("ask for the leader: %w", err)
	}
	var all []Member
	var others []string
	for _, p := range resp.Members {
		one := member(p)
		one.Leader, one.Healthy = p.ID == status.Leader, p.ID == status.Header.MemberId
		if !one.Healthy {
			others = append(others, one.addresses()...)
		}
		all = append(all, one)
	}
	if m.asker != nil {
		said := m.asker.askAll(ctx, others)
		own := strconv.FormatUint(status.Header.ClusterId, 16)
		for i := range all {
			all[i].Healthy = all[i].Healthy || slices.ContainsFunc(all[i].addresses(), func(a string) bool { return said[a].cluster == own })
		}
	}
	slices.SortFunc(all, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// endpoint is asked by name for its status; a client in the same process has none.
func (m *Members) endpoint() string {
	if all := m.client.Endpoints(); len(all) > 0 {
		return all[0]
	}
	return ""
}

func member(p *etcdserverpb.Member) Member {
	return Member{
		ID: fmt.Sprintf("%016x", p.ID), Name: p.Name, PeerURLs: slices.Clone(p.PeerURLs),
		Learner: p.IsLearner, Started: p.Name != "", id: p.ID,
	}
}

// Add makes room for a new member called name, which others will reach at
// address (HOST:PORT). The new one gets the returned text as its
// [Cluster.Initial], with Join set, and may vote once it has caught up. One
// member at a time may be new.
func (m *Members) Add(ctx context.Context, name, address string) (initial string, err error) {
	if m.asker == nil {
		return "", errors.New("add member: this server has no settings for a cluster: no other server could reach it")
	}
	if err := CheckMember(name, address); err != nil {
		return "", fmt.Errorf("add member: %w", err)
	}
	all, err := m.current(ctx)
	if err != nil {
		return "", err
	}
	u := peerURL(address)
	for _, one := range all {
		switch {
		case one.Name == name, slices.Contains(one.PeerURLs, u.String()):
			return "", fmt.Errorf("add member %s: there is one of that name or address already, %s: remove it first, or choose another", name, one)
		case one.Learner:
			return "", fmt.Errorf("add member %s: %s is new and may not vote yet: wait for it, or remove it", name, one)
		}
	}
	err = change(ctx, all, func(ctx context.Context) error {
		_, err := m.client.MemberAddAsLearner(ctx, []string{u.String()})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("add member %s: %w", name, err)
	}
	entries := []string{name + "=" + address}
	for _, one := range all {
		label := one.Name
		if label == "" {
			label = one.ID
		}
		for _, a := range one.addresses() {
			entries = append(entries, label+"="+a)
		}
	}
	slices.Sort(entries)
	return strings.Join(entries, ","), nil
}

// Remove removes the member of this name or id for good, and returns it. It
// refuses, unless forced, when too few of the others answer for a quorum of
// them; etcd itself refuses what would leave it without one, also then.
func (m *Members) Remove(ctx context.Context, nameOrID string, force bool) (Member, error) {
	all, err := m.current(ctx)
	if err != nil {
		return Member{}, err
	}
	gone, err := find(all, nameOrID)
	if err != nil {
		return Member{}, fmt.Errorf("remove member: %w", err)
	}
	if err := mayRemove(all, gone, force); err != nil {
		return Member{}, fmt.Errorf("remove member %s: %w", gone, err)
	}
	rest := slices.DeleteFunc(all, func(one Member) bool { return one.id == gone.id })
	err = change(ctx, rest, func(ctx context.Context) error {
		_, err := m.client.MemberRemove(ctx, gone.id)
		return err
	})
	if err != nil {
		return Member{}, fmt.Errorf("remove member %s: %w", gone, err)
	}
	return gone, nil
}

// ErrNoMember is what the error of a change unwraps to that is about no member there is.
var ErrNoMember = errors.New("no member")

// find returns the member of this name, id or address; one that has not started
// has no name yet.
func find(all []Member, nameOrID string) (Member, error) {
	var known []string
	for _, one := range all {
		if nameOrID != "" && (one.Name == nameOrID || slices.Contains(one.addresses(), nameOrID)) {
			return one, nil
		}
		known = append(known, one.String())
	}
	if id, err := strconv.ParseUint(nameOrID, 16, 64); err == nil {
		for _, one := range all {
			if one.id == id {
				return one, nil
			}
		}
	}
	return Member{}, fmt.Errorf("%w has the name, id or address %q; there are %s", ErrNoMember, nameOrID, strings.Join(known, ", "))
}

// mayRemove returns why gone had better stay.
func mayRemove(all []Member, gone Member, force bool) error {
	if gone.Learner {
		return nil
	}
	rest, live := 0, 0
	var silent []string
	for _, one := range all {
		if one.id == gone.id || one.Learner {
			continue
		}
		rest++
		if one.Healthy {
			live++
		} else {
			silent = append(silent, one.String())
		}
	}
	switch quorum := rest/2 + 1; {
	case rest == 0:
		return errors.New("it is the only one that votes")
	case live < quorum && !force:
		return fmt.Errorf("of the other %d, %d would have to be there, and not reachable are: %s",
			rest, quorum, strings.Join(silent, ", "))
	}
	return nil
}

// change does what etcd refuses while it has not heard of a member for a while.
// When all that stay are there, it is tried until that while is over.
func change(ctx context.Context, stay []Member, do func(context.Context) error) error {
	var silent []string
	for _, one := range stay {
		if !one.Healthy && one.Started {
			silent = append(silent, one.String())
		}
	}
	for until := time.Now().Add(settle); ; {
		err := attempt(ctx, do)
		switch {
		case !errors.Is(err, rpctypes.ErrUnhealthy) && !errors.Is(err, rpctypes.ErrMemberNotEnoughStarted):
			return err
		case len(silent) > 0:
			return fmt.Errorf("too few would be left (%w), and not reachable are: %s", err, strings.Join(silent, ", "))
		case time.Now().After(until):
			return fmt.Errorf("%w: try again when all have been connected for a while", err)
		}
		select {
		case <-time.After(settleRetry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func attempt(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	return do(ctx)
}

// Run gives every new member a vote once it has caught up, until ctx ends; then
// it returns nil. Every member may run it.
func (m *Members) Run(ctx context.Context) error {
	every := time.NewTicker(promoteEvery)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			m.promote(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// promote passes over what does not work now: it is tried again.
func (m *Members) promote(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	resp, err := m.client.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return
	}
	for _, p := range resp.Members {
		if !p.IsLearner || p.Name == "" {
			continue
		}
		if _, err := m.client.MemberPromote(ctx, p.ID); err == nil {
			m.log.Info("new member of the etcd cluster may vote", "name", p.Name)
		}
	}
}
