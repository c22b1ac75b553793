package main

import (
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/internal/openloop"
)

// serverFlags are those of every command that calls a server.
func serverFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "server", EnvVars: []string{"MUSTER_SERVER"}, Value: cli.NewStringSlice("http://127.0.0.1:8848"), Usage: "`URL` of a server, repeatable: connections are dealt out to them"},
		&cli.IntFlag{Name: "clients", Value: 64, Usage: "`NUMBER` of connections, each with one call at a time"},
		&cli.DurationFlag{Name: "timeout", Value: 5 * time.Second, Usage: "how long one call may take"},
		&cli.BoolFlag{Name: "json", Usage: "write the results as JSON"},
	}
}

// nacosFlags are those of commands that speak the HTTP API of Nacos.
func nacosFlags() []cli.Flag {
	return append(serverFlags(),
		&cli.StringFlag{Name: "api", Value: "v1", Usage: "`VERSION` of the HTTP API of Nacos: v1, v2 or v3"},
		&cli.StringFlag{Name: "namespace", Value: "public", Usage: "namespace `NAME` of what is made"},
		&cli.StringFlag{Name: "username", EnvVars: []string{"MUSTER_BENCH_USERNAME"}, Usage: "log in as `NAME` first"},
		&cli.StringFlag{Name: "password", EnvVars: []string{"MUSTER_BENCH_PASSWORD"}, Usage: "`PASSWORD` to log in with"},
	)
}

// paceFlags say when calls start. usual is the rate when none is given, in words where
// it hangs on other flags.
func paceFlags(usual string) []cli.Flag {
	return []cli.Flag{
		&cli.Float64Flag{Name: "rate", DefaultText: usual, Usage: "`NUMBER` of calls that start in a second; 0: each connection goes on at once"},
		&cli.DurationFlag{Name: "ramp", Usage: "how long the rate takes to grow; calls of that time are made, and not measured"},
		&cli.DurationFlag{Name: "duration", Value: 10 * time.Second, Usage: "for how long calls start at the whole rate"},
		&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "`NUMBER` that random choices follow from"},
	}
}

// rosterFlags say which services and instances there are.
func rosterFlags(instances int) []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "services", Value: 100, Usage: "`NUMBER` of services"},
		&cli.IntFlag{Name: "instances", Value: instances, Usage: "`NUMBER` of instances of each service"},
		groupsFlag(),
		&cli.IntFlag{Name: "metadata", Usage: "`NUMBER` of pairs of metadata that each instance has"},
		&cli.StringFlag{Name: "prefix", Value: "bench", Usage: "`TEXT` that the names of services begin with"},
	}
}

func groupsFlag() cli.Flag {
	return &cli.IntFlag{Name: "groups", Value: 1, Usage: "`NUMBER` of groups that names are dealt out to; 1: DEFAULT_GROUP"}
}

// documentFlags say which documents there are.
func documentFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "documents", Value: 1000, Usage: "`NUMBER` of documents"},
		&cli.IntFlag{Name: "size", Value: 1024, Usage: "`BYTES` of each content"},
		groupsFlag(), keepFlag(),
	}
}

func persistentFlag() cli.Flag {
	return &cli.BoolFlag{Name: "persistent", Usage: "register persistent instances, which the server checks, in place of ones that beat"}
}

func keepFlag() cli.Flag {
	return &cli.BoolFlag{Name: "keep", Usage: "leave what was made"}
}

// plan returns when calls start; usual is the rate where none is given.
func plan(c *cli.Context, usual float64) (openloop.Plan, error) {
	p := openloop.Plan{Rate: usual, Ramp: c.Duration("ramp"), Duration: c.Duration("duration")}
	if c.IsSet("rate") {
		p.Rate = c.Float64("rate")
	}
	if p.Rate > maxRate {
		return p, usagef("rate is %g, more than %d", p.Rate, maxRate)
	}
	if err := p.Check(); err != nil {
		return p, usageError{err}
	}
	if p.Duration == 0 {
		return p, usagef("duration is 0: nothing would end the run")
	}
	return p, nil
}

// Bounds of what may be asked for: beyond them a slip of the finger is likelier.
const (
	maxRate    = 1_000_000
	maxClients = 60_000
	maxMade    = 1 << 24 // as many addresses as 10.0.0.0/8 has
)

// number returns the value of a flag that lies from 1 to most.
func number(c *cli.Context, name string, most int) (int, error) {
	n := c.Int(name)
	if n < 1 || n > most {
		return 0, usagef("%s is %d, it should be from 1 to %d", name, n, most)
	}
	return n, nil
}

// numbers fills what each flag names.
func numbers(c *cli.Context, into map[string]*int) error {
	names := make([]string, 0, len(into))
	for name := range into {
		names = append(names, name)
	}
	slices.Sort(names) // so that the first error is always the same one
	for _, name := range names {
		n, err := number(c, name, maxMade)
		if err != nil {
			return err
		}
		*into[name] = n
	}
	return nil
}

// servers returns the addresses to call.
func servers(c *cli.Context) ([]*url.URL, error) {
	var all []*url.URL
	for _, text := range c.StringSlice("server") {
		u, err := url.Parse(strings.TrimSuffix(text, "/"))
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, usagef("server %q is no http or https URL", text)
		}
		if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return nil, usagef("server %q: nothing may follow the path, and nobody stand before the host", text)
		}
		all = append(all, u)
	}
	if len(all) == 0 {
		return nil, usagef("server is missing")
	}
	return all, nil
}

// noNames refuses arguments that are no flags.
func noNames(c *cli.Context) error {
	if c.NArg() > 0 {
		return usagef("%s takes no names, only flags: %q", c.Command.Name, c.Args().First())
	}
	return nil
}

// concat joins lists of flags.
func concat(lists ...[]cli.Flag) []cli.Flag { return slices.Concat(lists...) }

// perSecond is the rate at which so many are each called once in the time between two beats.
func perSecond(n int) float64 { return math.Max(float64(n)/beatEvery.Seconds(), 1e-3) }
