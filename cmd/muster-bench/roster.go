package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// roster is which services and instances there are: all of it follows from a few
// numbers, so that one command can ask for what another one made.
type roster struct {
	namespace string
	prefix    string
	services  int
	instances int // of each service
	groups    int
	metadata  int // pairs that each instance has
}

// member is one instance.
type member struct {
	service, group string
	address        string
	port           uint16
	metadata       map[string]string
}

func rosterOf(c *cli.Context) (r roster, err error) {
	r = roster{namespace: c.String("namespace"), prefix: c.String("prefix"), metadata: c.Int("metadata")}
	if r.namespace == "" {
		r.namespace = defaultNamespace
	}
	if err := numbers(c, map[string]*int{"services": &r.services, "instances": &r.instances, "groups": &r.groups}); err != nil {
		return r, err
	}
	switch {
	case r.services > maxMade/r.instances:
		return r, usagef("services and instances make %d instances, more than %d", r.services*r.instances, maxMade)
	case r.metadata < 0 || r.metadata > 64:
		return r, usagef("metadata is %d, it should be from 0 to 64", r.metadata)
	case r.prefix == "" || len(r.prefix) > 40 || strings.Trim(r.prefix, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return r, usagef("prefix %q should be 1 to 40 of a-z, 0-9 and -", r.prefix)
	}
	return r, nil
}

const defaultNamespace = "public"

// size returns how many instances there are.
func (r roster) size() int { return r.services * r.instances }

func (r roster) serviceName(s int) string { return fmt.Sprintf("%s-%06d", r.prefix, s) }

func (r roster) groupOf(s int) string { return groupOf(s, r.groups) }

// groupOf deals names out to groups.
func groupOf(n, groups int) string {
	if groups <= 1 {
		return "DEFAULT_GROUP"
	}
	return "GROUP_" + strconv.Itoa(n%groups)
}

// member returns the instance n. Those that follow each other are of different
// services, as they are when a fleet starts.
func (r roster) member(n int) member {
	s := n % r.services
	m := member{service: r.serviceName(s), group: r.groupOf(s), address: addressOf(n), port: 8080}
	if r.metadata > 0 {
		m.metadata = make(map[string]string, r.metadata)
		for i := range r.metadata {
			m.metadata["key-"+strconv.Itoa(i)] = fmt.Sprintf("value-%d-of-%d", i, n/r.services)
		}
	}
	return m
}

// addressOf returns the address of the instance n: no two have the same.
func addressOf(n int) string {
	n %= maxMade
	return fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
}

// params names a service as the HTTP API of Nacos does.
func (r roster) params(service, group string) url.Values {
	v := url.Values{"serviceName": {service}}
	if group != "DEFAULT_GROUP" {
		v.Set("groupName", group)
	}
	if r.namespace != defaultNamespace {
		v.Set("namespaceId", r.namespace)
	}
	return v
}

// draw returns a number below n that follows from the seed and the place of a call.
func draw(seed uint64, place int64, n int) int {
	x := seed*0x9e3779b97f4a7c15 + uint64(place)*0xd1b54a32d192ed03
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) % uint64(n))
}
