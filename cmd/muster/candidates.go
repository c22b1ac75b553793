package main

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/certs"
)

// candidate is what a word may be completed to.
type candidate struct{ value, text string }

// choices are the words that go with a kind, whatever the servers hold.
var choices = map[string]string{
	"output": "table json yaml", "check": "tcp http mysql redis grpc none", "dns-mode": "ordered sampled single", "dns-topology": "prefer pin",
	"log-level": "debug info warn error", "log-format": "text json", "type": "properties xml json text html yaml toml",
	"validate": "off warn refuse", "secrets": "clear omit", "on-conflict": "abort skip overwrite",
	"SHELL": "bash zsh fish", "TYPE": "SRV A AAAA TXT HTTPS SVCB PTR", "VERB": "r w", "KIND": "naming config dns admin",
}

// patience is how long somebody who pressed a key waits for a server.
const patience = time.Second

// candidates returns what is wanted begins with. Files are for the shell to find. A
// server that does not answer has nothing to offer.
func (w wanted) candidates(ctx context.Context, app *cli.App) (all []candidate, files bool) {
	switch w.kind {
	case wantNothing:
		return nil, false
	case "FILE", "DIRECTORY":
		return nil, true
	case wantCommand:
		all = w.commands(app)
	case wantFlag:
		all = w.flagNames()
	default:
		if words, ok := choices[w.kind]; ok {
			all = named(strings.Fields(words)...)
			break
		}
		all = w.held(ctx)
	}
	all = slices.DeleteFunc(all, func(c candidate) bool { return !w.takes(c) })
	for i := range all {
		all[i].value = w.prefix + all[i].value
	}
	slices.SortFunc(all, func(a, b candidate) int { return strings.Compare(a.value, b.value) })
	return slices.CompactFunc(all, func(a, b candidate) bool { return a.value == b.value }), false
}

// takes reports whether a candidate may stand there. Who registers a service may
// call it --server=..., which would be a flag.
func (w wanted) takes(c candidate) bool {
	flag := strings.HasPrefix(c.value, "-") && w.prefix == "" && !w.literal
	return strings.HasPrefix(c.value, w.typed) && !strings.ContainsFunc(c.value, unicode.IsControl) && (w.kind == wantFlag || !flag)
}

func named(values ...string) (all []candidate) {
	for _, v := range values {
		all = append(all, candidate{value: v})
	}
	return all
}

func (w wanted) commands(app *cli.App) (all []candidate) {
	commands := app.Commands
	if w.command != nil {
		commands = w.command.Subcommands
	}
	for _, c := range commands {
		if !c.Hidden {
			all = append(all, candidate{c.Name, c.Usage})
		}
	}
	return all
}

// flagNames are the long names of flags, without those that count once and are
// there.
func (w wanted) flagNames() []candidate {
	all := []candidate{{"--help", "show help"}}
	for _, f := range w.command.Flags {
		name := f.Names()[0]
		if s, ok := f.(cli.DocGenerationSliceFlag); w.flags[name] != nil && (!ok || !s.IsSliceFlag()) {
			if _, generic := f.(*cli.GenericFlag); !generic {
				continue
			}
		}
		text := ""
		if doc, ok := f.(cli.DocGenerationFlag); ok {
			text = strings.ReplaceAll(doc.GetUsage(), "`", "")
		}
		all = append(all, candidate{"--" + name, text})
	}
	return all
}

// flag returns the value of a flag, else of a variable, else what is usual.
func (w wanted) flag(name, variable, usual string) string {
	if v := w.flags[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	if v := os.Getenv(variable); variable != "" && v != "" {
		return v
	}
	return usual
}

// held returns what a server holds of the kind that is wanted.
func (w wanted) held(ctx context.Context) []candidate {
	servers := w.flags["server"]
	if len(servers) == 0 {
		servers = strings.Split(w.flag("server", "MUSTER_SERVER", client.DefaultServer), ",")
	}
	trust, err := certs.Open(certs.Files{Cert: w.flag("cert", "MUSTER_CERT", ""), Key: w.flag("key", "MUSTER_KEY", ""), CA: w.flag("ca", "MUSTER_CA", "")}, nil)
	if err != nil {
		return nil
	}
	remote, err := client.New(servers, client.Config{Rounds: 1, Timeout: patience, UserAgent: "muster/" + version, Token: tokenIn(w.flag("token-file", "MUSTER_TOKEN_FILE", "")), DialTLS: trust.Dialer("h2", "http/1.1")})
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	n := client.Name{Namespace: w.flag("namespace", "MUSTER_NAMESPACE", "public"), Group: w.flag("group", "", "DEFAULT_GROUP")}
	if len(w.names) > 0 {
		n.Name = w.names[0]
	}
	some := client.Query{Namespace: n.Namespace, Size: pageSize}
	switch w.kind {
	case "SERVICE", "NAME":
		some.Group, some.Search = n.Group, w.typed
		list, _ := remote.Services(ctx, some) // none when it fails
		return candidatesOf(list.Services, func(s api.Service) candidate { return candidate{s.Name, healthyOf(s) + " healthy"} })
	case "GROUP":
		list, _ := remote.Services(ctx, some)
		documents, _ := remote.Configs(ctx, some)
		return append(candidatesOf(list.Services, func(s api.Service) candidate { return candidate{value: s.Group} }),
			candidatesOf(documents.Configs, func(d api.Config) candidate { return candidate{value: d.Group} })...)
	case "NAMESPACE":
		list, _ := remote.Namespaces(ctx, client.Query{Search: w.typed, Size: pageSize})
		return candidatesOf(list.Namespaces, func(n api.Namespace) candidate { return candidate{n.ID, n.Name} })
	case "ADDRESS:PORT", "CLUSTER":
		return w.ofService(ctx, remote, n)
	case "DATAID":
		some.Group, some.Search = n.Group, w.typed
		list, _ := remote.Configs(ctx, some)
		return candidatesOf(list.Configs, func(d api.Config) candidate { return candidate{d.DataID, d.Desc} })
	case "RELEASE", "PART", "SEQ":
		return w.ofDocument(ctx, remote, n)
	case "MEMBER":
		list, _ := remote.Members(ctx)
		return candidatesOf(list.Members, func(m api.Member) candidate { return candidate{m.Name, role(m)} })
	}
	return nil
}

// ofService returns the clusters or the endpoints of a service.
func (w wanted) ofService(ctx context.Context, remote *client.Client, n client.Name) []candidate {
	if n.Name == "" {
		return nil
	}
	list, _ := remote.Instances(ctx, n, client.InstanceQuery{Page: 1, Size: pageSize})
	if w.kind != "CLUSTER" {
		return candidatesOf(list.Instances, func(i api.Instance) candidate {
			return candidate{client.Endpoint(i.Address, i.Port), state(i) + ", weight " + weight(i)}
		})
	}
	all := candidatesOf(list.Instances, func(i api.Instance) candidate { return candidate{value: i.Cluster} })
	for cluster := range list.Service.Clusters {
		all = append(all, candidate{value: cluster})
	}
	return all
}

// ofDocument returns the gray releases, the parts or the history of a document.
func (w wanted) ofDocument(ctx context.Context, remote *client.Client, n client.Name) []candidate {
	if n.Name == "" {
		return nil
	}
	switch w.kind {
	case "RELEASE":
		list, _ := remote.Releases(ctx, n) // none when it fails
		return candidatesOf(list.Releases, func(r api.Release) candidate { return candidate{r.Name, rulesText(r.Rule)} })
	case "PART":
		list, _ := remote.Parts(ctx, n)
		return candidatesOf(list.Parts, func(p api.Part) candidate { return candidate{value: p.DatumID} })
	}
	page, _ := remote.ConfigHistory(ctx, n, 0, pageSize)
	return candidatesOf(page.Records, func(r api.ConfigRecord) candidate {
		return candidate{strconv.FormatInt(r.Seq, 10), r.Op + " " + r.At.Format(time.RFC3339)}
	})
}

func candidatesOf[T any](list []T, of func(T) candidate) (all []candidate) {
	for _, one := range list {
		all = append(all, of(one))
	}
	return all
}
