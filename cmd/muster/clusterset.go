package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
)

// passwordVariable holds the password of a check: arguments are there for every
// user of the host to read.
const passwordVariable = "MUSTER_CHECK_PASSWORD"

func clusterCommand() *cli.Command {
	return &cli.Command{Name: "cluster", Usage: "say how the clusters of a service are checked", Subcommands: []*cli.Command{
		{Name: "set", Usage: "say how the servers check the persistent instances of a cluster", ArgsUsage: "SERVICE CLUSTER",
			Description: "What is not given stays as it is. Another kind of check keeps port, times and counts. --check '' takes back what is\n" +
				"said: each instance is checked as it asks for. The password of mysql and redis comes from the variable\n" +
				passwordVariable + " or from a file; it is never shown, and stays where neither is given.",
			Flags: namedFlags(termFlags(
				&cli.StringFlag{Name: "check", Usage: "`KIND`: tcp, http, mysql, redis, grpc or none"},
				&cli.UintFlag{Name: "check-port", Usage: "`PORT` to ask, 0 for that of the instance"},
				&cli.StringFlag{Name: "path", Usage: "of http: `PATH` and query"},
				&cli.GenericFlag{Name: "header", Value: &metadata{}, Usage: "of http: `NAME=VALUE` to send, repeatable; all of them anew"},
				&cli.StringFlag{Name: "expect", Usage: "of http: `STATUS,STATUS` that pass, 200 to 299 when empty"},
				&cli.StringFlag{Name: "user", Usage: "of mysql and redis: `NAME` to log in with"},
				&cli.StringFlag{Name: "password-file", Usage: "of mysql and redis: `FILE` with the password, - for standard input"},
				&cli.StringFlag{Name: "command", Usage: "of mysql: `QUERY` to send"},
				&cli.StringFlag{Name: "grpc-service", Usage: "of grpc: `SERVICE` to ask for, the server as a whole when empty"},
				&cli.BoolFlag{Name: "tls", Usage: "of http, redis and grpc: ask over TLS; the certificate is not verified"},
				&cli.DurationFlag{Name: "interval", Usage: "between two tries"},
				&cli.DurationFlag{Name: "timeout", Usage: "of one try, at most the interval"},
				&cli.IntFlag{Name: "rise", Usage: "`COUNT` of successes in a row until healthy"},
				&cli.IntFlag{Name: "fall", Usage: "`COUNT` of failures in a row until unhealthy"},
				editsFlag())...),
			Action: setCluster},
	}}
}

func setCluster(c *cli.Context) error {
	args, on, remote, err := writeCall(c, "SERVICE", "CLUSTER")
	if err != nil {
		return err
	}
	change, err := clusterChange(c)
	if err != nil {
		return err
	}
	n, cluster := nameOf(c, args[0]), args[1]
	var s api.Service
	err = amend(c.Context, on, func() (tag string, err error) {
		s, tag, err = remote.ServiceAt(c.Context, n)
		return tag, err
	}, func(over client.Terms) error {
		spec, err := change(s.Clusters[cluster])
		if err != nil {
			return err
		}
		s, err = remote.PutCluster(c.Context, n, cluster, spec, over)
		return err
	})
	if err != nil {
		return err
	}
	return show(c, s, "", [][]string{{did(on, "changed"), n.String()}, {"cluster " + cluster, clusterText(s.Clusters[cluster])}})
}

// clusterChange returns what the flags make of a cluster.
func clusterChange(c *cli.Context) (change func(api.ServiceCluster) (api.ServiceCluster, error), err error) {
	password, err := checkPassword(c)
	if err != nil {
		return nil, err
	}
	expect, err := statuses(c.String("expect"))
	if err != nil {
		return nil, err
	}
	if p := c.Uint("check-port"); p > 65535 {
		return nil, usagef("check-port: %d is not a number from 0 to 65535", p)
	}
	return func(stands api.ServiceCluster) (api.ServiceCluster, error) {
		stands.Metadata = editsOf(c).over(stands.Metadata)
		if c.IsSet("check") && c.String("check") == "" {
			stands.Check = nil
		}
		check, err := newKind(c, stands.Check)
		if check == nil || err != nil {
			return stands, err
		}
		setCheck(c, check, expect)
		check.Password, check.PasswordSet = "", false
		if check.Kind == "mysql" || check.Kind == "redis" {
			check.Password = password
		}
		stands.Check = check
		return stands, nil
	}, nil
}

// checkFlags are the flags that say something of a check.
var checkFlags = []string{"check-port", "path", "header", "expect", "user", "password-file", "command", "grpc-service", "tls", "interval", "timeout", "rise", "fall"}

// newKind returns a check of the kind that is asked for, with what it keeps of the
// one that stands; nil where there is to be none.
func newKind(c *cli.Context, stands *api.HealthCheck) (*api.HealthCheck, error) {
	kind := c.String("check")
	switch {
	case stands == nil && kind == "":
		for _, f := range checkFlags {
			if c.IsSet(f) {
				return nil, usagef("check is missing: --%s says something of a check that there is not", f)
			}
		}
		return nil, nil
	case stands == nil:
		return &api.HealthCheck{Kind: kind}, nil
	case kind == "" || kind == stands.Kind:
		return new(*stands), nil
	}
	return &api.HealthCheck{Kind: kind, Port: stands.Port, Interval: stands.Interval, Timeout: stands.Timeout, Rise: stands.Rise, Fall: stands.Fall}, nil
}

// setCheck sets what the flags say of a check.
func setCheck(c *cli.Context, check *api.HealthCheck, expect []int) {
	for flag, set := range map[string]func(){
		"check-port":   func() { check.Port = uint16(c.Uint("check-port")) },
		"path":         func() { check.Path = c.String("path") },
		"header":       func() { check.Headers = pairsOf(c, "header") },
		"expect":       func() { check.Expect = expect },
		"user":         func() { check.User = c.String("user") },
		"command":      func() { check.Command = c.String("command") },
		"grpc-service": func() { check.Service = c.String("grpc-service") },
		"tls":          func() { check.TLS = c.Bool("tls") },
		"interval":     func() { check.Interval = c.Duration("interval").Milliseconds() },
		"timeout":      func() { check.Timeout = c.Duration("timeout").Milliseconds() },
		"rise":         func() { check.Rise = c.Int("rise") },
		"fall":         func() { check.Fall = c.Int("fall") },
	} {
		if c.IsSet(flag) {
			set()
		}
	}
}

// maxPassword is a little more than a server takes.
const maxPassword = 4 << 10

// checkPassword returns the password that is given, if any. The end of the line
// in a file is none of it.
func checkPassword(c *cli.Context) (string, error) {
	name := c.String("password-file")
	if name == "" {
		return os.Getenv(passwordVariable), nil
	}
	from := io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, maxPassword))
	if err != nil {
		return "", err
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if password == "" || len(b) == maxPassword {
		return "", fmt.Errorf("password-file: %s holds no password", name)
	}
	return password, nil
}

func statuses(text string) (all []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil || n < 100 || n > 599 {
			return nil, usagef("expect: %q is no HTTP status", part)
		}
		all = append(all, n)
	}
	return all, nil
}
