package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/auth"
)

func (f *face) mountRights(a huma.API) {
	register(a, access.Need{Level: access.Login}, huma.Operation{OperationID: "can", Method: http.MethodGet, Path: api.PathCan,
		Summary: "Tell whether one may do something, and why", Tags: authTags,
		Description: "Of another user, or a key of DNS, administrators ask. An agent's right to speak for its own id is no rule, and not part of the answer."}, f.can)
	register(a, access.Reads(access.Admin, ""), huma.Operation{OperationID: "who-can", Method: http.MethodGet, Path: api.PathWhoCan,
		Summary: "List who may do something, and why", Tags: authTags,
		Description: "Users, keys of DNS, agents by their tokens, and * for all agents that show a certificate. What servers read of each other is not in it."}, f.whoCan)
}

// Act is what somebody may do or not, in a query.
type Act struct {
	Verb      string `query:"verb" required:"true" enum:"r,w" doc:"r reads, w writes" example:"w"`
	Kind      string `query:"kind" required:"true" enum:"naming,config,dns,admin" doc:"Kind of what it is done to" example:"naming"`
	Namespace string `query:"namespace" maxLength:"253" doc:"Its namespace, of dns its zone; all when absent" example:"dev"`
	Group     string `query:"group" maxLength:"253" doc:"Its group; all when absent"`
}

// act returns what is asked about. The beginning of a name is none: whether all that
// begins so is meant, or some, no rule says.
func (in *Act) act() (verb access.Verb, on access.Resource, err error) {
	if strings.Contains(in.Namespace+in.Group, "*") {
		return verb, on, huma.Error400BadRequest("namespace and group are whole names: all of them are meant when they are absent")
	}
	on = access.Resource{Kind: access.Kind(in.Kind), Namespace: in.Namespace, Group: in.Group}
	if on.Kind == access.DNS {
		on.Namespace = strings.ToLower(strings.TrimSuffix(on.Namespace, "."))
	}
	if on.Kind == access.Admin { // there is but one
		on = access.Resource{Kind: access.Admin}
	}
	return access.Verb(in.Verb), on, nil
}

func decisionOf(who access.Subject, token string, d access.Decision) api.Decision {
	return api.Decision{Subject: who.String(), Token: token, Allowed: d.Allowed, Why: d.Why()}
}

type canIn struct {
	Act
	User string `query:"user" maxLength:"192" doc:"Of whom it is asked; of oneself when absent" example:"ann"`
	Key  string `query:"key" maxLength:"254" doc:"Of which key of DNS it is asked, - for who signs with none"`
}

type decisionAnswer struct{ Body api.Decision }

func (f *face) can(ctx context.Context, in *canIn) (*decisionAnswer, error) {
	verb, on, err := in.act()
	if err != nil {
		return nil, err
	}
	caller := access.From(ctx)
	if in.User != "" && in.Key != "" {
		return nil, huma.Error400BadRequest("it is asked of a user or of a key, not of both")
	}
	if in.User == "" && in.Key == "" {
		return &decisionAnswer{decisionOf(caller.Who, "", caller.Decide(verb, on))}, nil
	}
	if err := caller.Check(access.Read, access.Resource{Kind: access.Admin}); err != nil {
		return nil, f.failure(err)
	}
	s, err := f.known()
	if err != nil {
		return nil, err
	}
	if in.Key != "" {
		name, err := auth.CleanTSIG(in.Key)
		if err != nil {
			return nil, f.authFailure(err)
		}
		who, d := s.DecideTSIG(name, verb, on)
		return &decisionAnswer{decisionOf(who, "", d)}, nil
	}
	who, d, err := s.Decide(in.User, verb, on)
	if err != nil {
		return nil, f.authFailure(err)
	}
	return &decisionAnswer{decisionOf(who, "", d)}, nil
}

type decisionListAnswer struct{ Body api.DecisionList }

func (f *face) whoCan(_ context.Context, in *Act) (*decisionListAnswer, error) {
	verb, on, err := in.act()
	if err != nil {
		return nil, err
	}
	s, err := f.known()
	if err != nil {
		return nil, err
	}
	out := api.DecisionList{Decisions: []api.Decision{}}
	for _, h := range s.Holders(verb, on, time.Now()) {
		out.Decisions = append(out.Decisions, decisionOf(h.Who, h.Token, h.By))
	}
	return &decisionListAnswer{out}, nil
}
