package definition

import (
	"errors"
	"fmt"
	"net/netip"
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
// template may be text and pipelines only: a loop in one, which the local API
// lets any program of the host send, would hold up the agent.
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
		switch n.(type) {
		case *parse.TextNode, *parse.ActionNode:
		default:
			return errors.New("is a template with more than pipelines in it")
		}
	}
	return nil
}
