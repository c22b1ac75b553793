package definition

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/hashicorp/go-sockaddr"
	sockaddrtemplate "github.com/hashicorp/go-sockaddr/template"
)

// maxTemplate bounds an address template.
const maxTemplate = 1024

// PrivateIP is the template of the address an agent registers by default.
const PrivateIP = "{{ GetPrivateIP }}"

// ResolveAddress returns the IP address that text is, or that text as a
// go-sockaddr template yields on this host now. An empty result, one that is
// no IP address, and one that nobody can connect to are errors.
func ResolveAddress(text string) (netip.Addr, error) {
	if err := checkAddress(text); err != nil {
		return netip.Addr{}, err
	}
	if !strings.Contains(text, "{{") {
		return parseAddress(text)
	}
	t, err := template.New("address").Funcs(sockaddrtemplate.SourceFuncs).Funcs(sockaddrtemplate.SortFuncs).
		Funcs(sockaddrtemplate.FilterFuncs).Funcs(sockaddrtemplate.HelperFuncs).Funcs(template.FuncMap{"GetPrivateIP": privateIP}).Parse(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q: %w", text, err)
	}
	all, err := sockaddr.GetAllInterfaces()
	if err != nil {
		return netip.Addr{}, err
	}
	var out strings.Builder
	if err := t.Execute(&out, all); err != nil {
		return netip.Addr{}, fmt.Errorf("%q: %w", text, err)
	}
	result := strings.TrimSpace(out.String())
	if result == "" {
		return netip.Addr{}, fmt.Errorf("%q yields no address on this host", text)
	}
	addr, err := parseAddress(result)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q yields %w", text, err)
	}
	return addr, nil
}

// privateIP returns the private address on the interface of the default
// route; where that cannot be found out, as in a container without the ip
// command, which go-sockaddr asks, the first private address of the host.
func privateIP() (string, error) {
	if ip, err := sockaddr.GetPrivateIP(); err == nil && ip != "" {
		return ip, nil
	}
	all, err := sockaddr.GetPrivateIPs()
	first, _, _ := strings.Cut(all, " ")
	return first, err
}

func parseAddress(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	addr = addr.Unmap()
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("%q, which is not an IP address", text)
	case addr.Zone() != "":
		return netip.Addr{}, fmt.Errorf("%q, whose zone means nothing on another host", text)
	case addr.IsUnspecified() || addr.IsMulticast():
		return netip.Addr{}, fmt.Errorf("%q, to which nobody can connect", text)
	}
	return addr, nil
}

// checkAddress returns an error for what can never be resolved, on no host. A
// template may be text and pipelines only, of functions that do not make much of
// little: the local API lets any program of the host send one, and a loop in it
// would hold up the agent.
func checkAddress(text string) error {
	if !strings.Contains(text, "{{") {
		if _, err := parseAddress(text); err != nil {
			return fmt.Errorf("is %w", err)
		}
		return nil
	}
	if len(text) > maxTemplate {
		return fmt.Errorf("is a template of more than %d bytes", maxTemplate)
	}
	tree := parse.New("address")
	tree.Mode = parse.SkipFuncCheck
	if _, err := tree.Parse(text, "", "", map[string]*parse.Tree{}); err != nil {
		return fmt.Errorf("is no template: %w", err)
	}
	for _, n := range tree.Root.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
		case *parse.ActionNode:
			if err := checkPipe(n.Pipe); err != nil {
				return err
			}
		default:
			return errors.New("is a template with more than pipelines in it")
		}
	}
	return nil
}

// swelling are the functions of every template that make more of a text each time:
// a few dozen in a row would take all memory of the host. Of printf only the
// plainest formats do not.
var (
	swelling    = map[string]bool{"html": true, "js": true, "urlquery": true, "call": true}
	plainFormat = regexp.MustCompile(`^([^%]|%[sdv%])*$`)
)

// checkPipe refuses what can make much of little. A variable can: it may be used
// many times over.
func checkPipe(pipe *parse.PipeNode) error {
	if len(pipe.Decl) > 0 {
		return errors.New("is a template with variables in it")
	}
	for _, command := range pipe.Cmds {
		for i, arg := range command.Args {
			if err := checkArgument(arg, command.Args[i+1:]); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkArgument looks at one word of a pipeline, and what follows it.
func checkArgument(arg parse.Node, rest []parse.Node) error {
	switch arg := arg.(type) {
	case *parse.IdentifierNode:
		if swelling[arg.Ident] {
			return fmt.Errorf("is a template with %s in it", arg.Ident)
		}
		if arg.Ident != "printf" {
			return nil
		}
		if len(rest) > 0 {
			if format, ok := rest[0].(*parse.StringNode); ok && plainFormat.MatchString(format.Text) {
				return nil
			}
		}
		return errors.New("is a template with a printf whose format is more than text, %s, %d and %v")
	case *parse.PipeNode:
		return checkPipe(arg)
	case *parse.ChainNode:
		return checkArgument(arg.Node, nil)
	}
	return nil
}
