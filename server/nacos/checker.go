package nacos

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/musterhq/muster/internal/nacoswire"
	"github.com/musterhq/muster/registry"
)

// checker is how Nacos says how a cluster is checked.
type checker struct {
	kind registry.CheckKind

	path, headers, user, command string
	expect                       int
}

// MarshalJSON implements json.Marshaler. A password is never told.
func (c checker) MarshalJSON() ([]byte, error) {
	fields := map[string]any{"type": strings.ToUpper(string(c.kind))}
	switch c.kind {
	case registry.CheckHTTP:
		fields["path"], fields["headers"], fields["expectedResponseCode"] = c.path, c.headers, c.expect
	case registry.CheckMySQL:
		fields["user"], fields["pwd"], fields["cmd"] = c.user, "", c.command
	}
	return json.Marshal(fields)
}

// checkers are the kinds of which a console offers a choice.
var checkers = map[string]checker{
	"TCP":   {kind: registry.CheckTCP},
	"HTTP":  {kind: registry.CheckHTTP, expect: 200},
	"MYSQL": {kind: registry.CheckMySQL},
	"NONE":  {kind: registry.CheckNone},
}

func (h *Handler) checkers(*call) (any, error) { return checkers, nil }

// checkerOf returns how a cluster is checked: as its operator says, else over TCP
// unless its instances are such that nobody checks.
func checkerOf(s *registry.Service, cluster string) checker {
	check := s.Clusters[cluster].Check
	switch {
	case check != nil:
		return newChecker(check)
	case !s.Ephemeral && slices.ContainsFunc(s.Instances.List(), func(i *registry.Instance) bool { return i.Cluster == cluster && s.Check(i) == nil }):
		return checkers["NONE"]
	}
	return checkers["TCP"]
}

func newChecker(check *registry.HealthCheck) checker {
	c := checker{kind: check.Kind, path: check.Path, user: check.User, command: check.Command, expect: 200}
	if len(check.Expect) > 0 {
		c.expect = check.Expect[0]
	}
	headers := make([]string, 0, len(check.Headers))
	for name, value := range check.Headers {
		headers = append(headers, name+":"+value)
	}
	slices.Sort(headers)
	c.headers = strings.Join(headers, "|")
	return c
}

// defaultCheckPort is what Nacos shows where the instance's own port is checked.
const defaultCheckPort = 80

// checkPort returns the port that a cluster is checked at, and whether that is
// each instance's own.
func checkPort(s *registry.Service, cluster string) (uint16, bool) {
	if check := s.Clusters[cluster].Check; check != nil && check.Port != 0 {
		return check.Port, false
	}
	return defaultCheckPort, true
}

// parseChecker reads the JSON of a checker. One of an unknown type is NONE.
func parseChecker(text string) (*registry.HealthCheck, error) {
	var said struct {
		Type     string           `json:"type"`
		Path     string           `json:"path"`
		Headers  string           `json:"headers"`
		Expected nacoswire.Scalar `json:"expectedResponseCode"`
		User     string           `json:"user"`
		Password string           `json:"pwd"`
		Command  string           `json:"cmd"`
	}
	if json.Unmarshal([]byte(text), &said) != nil && json.Unmarshal([]byte(nacoswire.Decode(text)), &said) != nil {
		return nil, illegal("healthChecker", "it should be a JSON object.")
	}
	switch strings.ToUpper(said.Type) {
	case "TCP":
		return &registry.HealthCheck{Kind: registry.CheckTCP}, nil
	case "HTTP":
		return httpCheck(said.Path, said.Headers, string(said.Expected))
	case "MYSQL":
		return &registry.HealthCheck{Kind: registry.CheckMySQL, User: said.User, Password: said.Password, Command: said.Command}, nil
	}
	return &registry.HealthCheck{Kind: registry.CheckNone}, nil
}

// httpCheck reads the path and the headers H1:v1|H2:v2 of a check. In Nacos the
// status 200 alone passes, whatever is expected; here what is expected does.
func httpCheck(path, headers, expected string) (*registry.HealthCheck, error) {
	check := &registry.HealthCheck{Kind: registry.CheckHTTP, Path: path, Expect: []int{200}}
	if path != "" && !strings.HasPrefix(path, "/") {
		check.Path = "/" + path
	}
	if expected != "" {
		status, err := strconv.Atoi(expected)
		if err != nil {
			return nil, illegal("healthChecker", "expectedResponseCode should be a number.")
		}
		check.Expect = []int{status}
	}
	for pair := range strings.SplitSeq(headers, "|") {
		name, value, found := strings.Cut(pair, ":")
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if !found {
			return nil, illegal("healthChecker", fmt.Sprintf("header %q should be of the form name:value.", shortened(name)))
		}
		if check.Headers == nil {
			check.Headers = map[string]string{}
		}
		check.Headers[name] = strings.TrimSpace(value)
	}
	return check, nil
}
