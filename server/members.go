package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/etcdstore/embedded"
)

// MemberPath names a member in a path.
type MemberPath struct {
	Member string `path:"member" doc:"Name or id of a member" example:"d"`
}

func (f *face) mountMembers(a huma.API) {
	tags := []string{"members"}
	register(a, access.Reads(access.Admin, ""), huma.Operation{OperationID: "list-members", Method: http.MethodGet, Path: api.PathMembers,
		Summary: "List the members of the embedded etcd", Tags: tags}, f.listMembers)
	register(a, access.Writes(access.Admin, ""), huma.Operation{OperationID: "add-member", Method: http.MethodPost, Path: api.PathMembers,
		Summary: "Make room for one more member", Tags: tags}, f.addMember)
	register(a, access.Writes(access.Admin, ""), huma.Operation{OperationID: "remove-member", Method: http.MethodDelete, Path: api.PathMember,
		Summary: "Take a member out", Tags: tags}, f.removeMember)
}

// changeable returns the members for a change of them, which needs a quorum.
func (f *face) changeable(ctx context.Context) (*embedded.Members, error) {
	if err := f.operatorOnly(ctx, false); err != nil {
		return nil, err
	}
	if f.server.away() {
		return nil, huma.Error503ServiceUnavailable("etcd does not answer this server: without a quorum no member is added or removed")
	}
	return f.members()
}

// members returns the members of the embedded etcd, or why there are none.
func (f *face) members() (*embedded.Members, error) {
	if f.server.etcd.members == nil {
		return nil, huma.Error409Conflict("etcd is not embedded in this server: its members are changed with its own tools")
	}
	return f.server.etcd.members, nil
}

// memberFailure tells what stands in the way: the texts are made for operators.
func memberFailure(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return huma.Error503ServiceUnavailable("etcd does not answer: " + err.Error())
	}
	if errors.Is(err, embedded.ErrNoMember) {
		return huma.Error404NotFound(err.Error())
	}
	return huma.Error409Conflict(err.Error())
}

type membersAnswer struct{ Body api.MemberList }

func (f *face) listMembers(ctx context.Context, _ *struct{}) (*membersAnswer, error) {
	members, err := f.members()
	if err != nil {
		return nil, err
	}
	all, err := members.List(ctx)
	if err != nil {
		return nil, memberFailure(err)
	}
	out := &membersAnswer{api.MemberList{Members: []api.Member{}}}
	for _, m := range all {
		out.Body.Members = append(out.Body.Members, api.Member{ID: m.ID, Name: m.Name, Peers: m.PeerURLs, Learner: m.Learner, Leader: m.Leader, Healthy: m.Healthy})
	}
	return out, nil
}

type memberIn struct{ Body api.MemberSpec }

type memberAdded struct{ Body api.MemberAdded }

func (f *face) addMember(ctx context.Context, in *memberIn) (*memberAdded, error) {
	audit.From(ctx).About("", "", in.Body.Name, "")
	members, err := f.changeable(ctx)
	if err != nil {
		return nil, err
	}
	initial, err := members.Add(ctx, in.Body.Name, in.Body.Peer)
	if err != nil {
		return nil, memberFailure(err)
	}
	f.log.Info("a member may join the etcd cluster", "name", in.Body.Name, "peer", in.Body.Peer)
	return &memberAdded{api.MemberAdded{InitialCluster: initial}}, nil
}

type memberOut struct {
	MemberPath
	Force bool `query:"force" doc:"Also when too few of the others answer"`
}

func (f *face) removeMember(ctx context.Context, in *memberOut) (*struct{}, error) {
	members, err := f.changeable(ctx)
	if err != nil {
		return nil, err
	}
	gone, err := members.Remove(ctx, in.Member, in.Force)
	if err != nil {
		return nil, memberFailure(err)
	}
	f.log.Info("a member was taken out of the etcd cluster", "member", gone.String())
	return nil, nil
}
