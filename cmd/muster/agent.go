package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/agent/calls"
	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/agent/localdns"
	"github.com/musterhq/muster/agent/roll"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/internal/sdnotify"
)

func agentCommand() *cli.Command {
	return &cli.Command{Name: "agent", Usage: "run the agent of this host", Flags: agentFlags(), Action: runAgent,
		Subcommands: append(agentCalls(), agentDNSCommand()),
	}
}

func agentFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "config", EnvVars: []string{"MUSTER_AGENT_CONFIG"}, Usage: "settings `FILE`; flags and environment go before it"},
		&cli.StringSliceFlag{Name: "server", EnvVars: []string{"MUSTER_SERVER"}, Usage: "`URL` of a server, repeatable", DefaultText: client.DefaultServer},
		&cli.StringFlag{Name: "services", EnvVars: []string{"MUSTER_SERVICES"}, Usage: "`DIRECTORY` of definition files", DefaultText: agent.DefaultServicesDir},
		&cli.StringFlag{Name: "http", EnvVars: []string{"MUSTER_AGENT_HTTP"}, Usage: "listen `ADDRESS` of the local API", DefaultText: agent.DefaultHTTP},
		&cli.StringFlag{Name: "dns", EnvVars: []string{"MUSTER_AGENT_DNS"}, Usage: "listen `ADDRESS` of the host's DNS, off for none", DefaultText: agent.DefaultDNS},
		&cli.StringSliceFlag{Name: "zone", EnvVars: []string{"MUSTER_AGENT_ZONES"}, Usage: "`ZONE` that is asked of the servers alone, repeatable; those that they name are too", DefaultText: localdns.DefaultZone},
		&cli.StringSliceFlag{Name: "dns-server", EnvVars: []string{"MUSTER_AGENT_DNS_SERVERS"}, Usage: "`ADDRESS` of a server's DNS, repeatable", DefaultText: "those that the servers name"},
		&cli.StringSliceFlag{Name: "upstream", EnvVars: []string{"MUSTER_AGENT_UPSTREAMS"}, Usage: "`ADDRESS` of a resolver for all other names, repeatable", DefaultText: "those of the host"},
		&cli.StringFlag{Name: "corefile", EnvVars: []string{"MUSTER_AGENT_COREFILE"}, Usage: "Corefile in `FILE` in place of the generated one"},
		&cli.BoolFlag{Name: "print-corefile", Usage: "print the Corefile of the host's DNS and end"},
		&cli.StringFlag{Name: "data-dir", EnvVars: []string{"MUSTER_AGENT_DATA_DIR"}, Usage: "`DIRECTORY` of what must survive a restart", DefaultText: agent.DefaultDataDir},
		&cli.StringFlag{Name: "id", EnvVars: []string{"MUSTER_AGENT_ID"}, Usage: "`ID` of the agent", DefaultText: "made at the first start"},
		&cli.StringFlag{Name: "address", EnvVars: []string{"MUSTER_ADDRESS"}, Usage: "`ADDRESS` of instances that name none, or a go-sockaddr template", DefaultText: "a private address of the host"},
		&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, EnvVars: []string{"MUSTER_NAMESPACE"}, Usage: "namespace `NAME` of what names none", DefaultText: "public"},
		&cli.DurationFlag{Name: "drain-wait", EnvVars: []string{"MUSTER_DRAIN_WAIT"}, Usage: "how long a stop waits between weight 0 and deregistration", DefaultText: agent.DefaultDrainWait.String()},
		&cli.BoolFlag{Name: "once", Usage: "bring the configuration files in step one time and end: 0 when all are, 1 when one could not be"},
		&cli.BoolFlag{Name: "dry-run", Usage: "say what --once would change, and touch nothing"},
		&cli.StringFlag{Name: "tag", EnvVars: []string{"MUSTER_TAG"}, Usage: "`TAG` of this host, by which gray releases may choose it"},
		&cli.BoolFlag{Name: "stay", EnvVars: []string{"MUSTER_STAY"}, Usage: "leave everything registered at a stop, for a quick restart"},
		&cli.StringFlag{Name: "tls-cert", EnvVars: []string{"MUSTER_AGENT_TLS_CERT"}, Usage: "certificate `FILE`, with which the local API speaks TLS at the address of --http"},
		&cli.StringFlag{Name: "tls-key", EnvVars: []string{"MUSTER_AGENT_TLS_KEY"}, Usage: "key `FILE` of that certificate"},
		&cli.StringFlag{Name: "tls-client-ca", EnvVars: []string{"MUSTER_AGENT_TLS_CLIENT_CA"}, Usage: "`FILE` with the authorities of the certificates that its callers may show"},
		&cli.BoolFlag{Name: "tls-client-required", EnvVars: []string{"MUSTER_AGENT_TLS_CLIENT_REQUIRED"}, Usage: "let nobody in there who shows no certificate"},
		&cli.BoolFlag{Name: "insecure", EnvVars: []string{"MUSTER_INSECURE"}, Usage: "allow the local API beyond loopback without TLS, or without certificates of its callers, and the DNS there"},
	}, append(trustFlags(), logFlags()...)...)
}

// agentConfig reads settings file, environment and flags, the later over the
// earlier.
func agentConfig(c *cli.Context) (agent.Config, error) {
	var cfg agent.Config
	if path := c.String("config"); path != "" {
		if err := readSettings(path, &cfg); err != nil {
			return cfg, err
		}
	}
	over(c, "services", c.String, &cfg.ServicesDir)
	over(c, "http", c.String, &cfg.HTTP)
	over(c, "dns", c.String, &cfg.DNS)
	over(c, "zone", c.StringSlice, &cfg.Zones)
	over(c, "dns-server", c.StringSlice, &cfg.DNSServers)
	over(c, "upstream", c.StringSlice, &cfg.Upstreams)
	over(c, "corefile", c.String, &cfg.Corefile)
	over(c, "data-dir", c.String, &cfg.DataDir)
	over(c, "id", c.String, &cfg.ID)
	over(c, "address", c.String, &cfg.Address)
	over(c, "namespace", c.String, &cfg.Namespace)
	over(c, "server", c.StringSlice, &cfg.Servers)
	over(c, "ca", c.String, &cfg.CAFile)
	over(c, "cert", c.String, &cfg.CertFile)
	over(c, "key", c.String, &cfg.KeyFile)
	over(c, "token-file", c.String, &cfg.TokenFile)
	over(c, "tag", c.String, &cfg.Tag)
	over(c, "stay", c.Bool, &cfg.Stay)
	over(c, "tls-cert", c.String, &cfg.TLS.CertFile)
	over(c, "tls-key", c.String, &cfg.TLS.KeyFile)
	over(c, "tls-client-ca", c.String, &cfg.TLS.ClientCAFile)
	over(c, "tls-client-required", c.Bool, &cfg.TLS.ClientRequired)
	over(c, "insecure", c.Bool, &cfg.Insecure)
	if c.IsSet("drain-wait") {
		cfg.DrainWait = new(c.Duration("drain-wait"))
	}
	cfg.Version = version
	return cfg, nil
}

func runAgent(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	cfg, err := agentConfig(c)
	if err != nil {
		return err
	}
	if cfg.Logger, err = newLogger(c, c.App.ErrWriter); err != nil {
		return err
	}
	if cfg.Notifier, err = sdnotify.FromEnvironment(cfg.Logger); err != nil {
		return err
	}
	if err := cfg.Check(); err != nil {
		return settingFault(c, err, func(path string) error {
			var alone agent.Config
			if err := readSettings(path, &alone); err != nil {
				return err
			}
			return alone.Check()
		})
	}
	a, err := agent.New(cfg)
	if err != nil {
		return err
	}
	switch {
	case c.Bool("print-corefile"):
		return printAgentCorefile(c, cfg)
	case c.Bool("dry-run"):
		return planAgent(c, a)
	case c.Bool("once"):
		return a.Once(c.Context)
	}
	defer onSignal(a.Reload, syscall.SIGHUP)()
	// The first of these ends c.Context, which begins the drain.
	signals := 0
	defer onSignal(func() {
		if signals++; signals > 1 {
			a.SkipDrain()
		}
	}, os.Interrupt, syscall.SIGTERM)()
	return a.Run(c.Context)
}

// printAgentCorefile prints the Corefile that the settings amount to.
func printAgentCorefile(c *cli.Context, cfg agent.Config) error {
	text, err := cfg.CorefileText()
	if err != nil {
		return err
	}
	_, err = c.App.Writer.Write(text)
	return err
}

// onSignal calls do at every one of the signals until the function it returns
// is called.
func onSignal(do func(), signals ...os.Signal) (stop func()) {
	arrived := make(chan os.Signal, 4)
	signal.Notify(arrived, signals...)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range arrived {
			do()
		}
	}()
	return func() {
		signal.Stop(arrived)
		close(arrived)
		<-ended
	}
}

func agentStatus(c *cli.Context) error {
	a, _, err := dialAgent(c)
	if err != nil {
		return err
	}
	defer a.Close()
	var s agent.Status
	if err := a.Status(c.Context, &s); err != nil {
		return err
	}
	if err := show(c, s, "", shortened(statusRows(s))); err != nil || !c.Bool("check") {
		return err
	}
	return amiss(s)
}

// maxCell is how wide a cell of a table may be that others stand behind.
const maxCell = 48

// shortened cuts the middle out of long cells, but not out of the last one of a row,
// behind which nothing stands: one long name would push all rows off the screen.
// Programs read the whole names in the other formats.
func shortened(rows [][]string) [][]string {
	for _, row := range rows {
		for i := range max(len(row)-1, 0) {
			if cell := []rune(row[i]); len(cell) > maxCell {
				row[i] = string(cell[:maxCell/2-1]) + "…" + string(cell[len(cell)-maxCell/2:])
			}
		}
	}
	return rows
}

// statusRows tells an agent's status, one thing a row.
func statusRows(s agent.Status) (rows [][]string) {
	add := func(cells ...string) { rows = append(rows, cells) }
	add("agent", s.ID)
	add("server", s.Server.URL)
	add("problem", orDash(strings.TrimSpace(s.Server.Error+" "+s.Server.Standby+" "+s.Server.State)))
	if len(s.Insecure) > 0 {
		add("insecure", "the local API is beyond loopback, where "+strings.Join(s.Insecure, " and "))
	}
	if s.TLSError != "" {
		add("certificate", "the old one goes on", s.TLSError)
	}
	if s.Drain.State != calls.DrainNone && s.Drain.State != "" {
		left := ""
		if s.Drain.Untold {
			left = "no server has the weights"
		} else if s.Drain.LeftMs > 0 {
			left = fmt.Sprintf("%v are left", time.Duration(s.Drain.LeftMs)*time.Millisecond)
		}
		add("drain", s.Drain.State, left, s.Drain.Problem)
	}
	if s.Directory.Error != "" {
		add("directory", s.Directory.Path, s.Directory.Error)
	}
	for _, d := range s.Definitions {
		add(d.Origin, fmt.Sprintf("%d services", d.Services), strings.TrimSuffix(strings.Join(append(d.Problems, d.Error), "; "), "; "))
	}
	for _, i := range s.Instances {
		add("instance", i.Service, client.Endpoint(i.Address, i.Port), i.Health, instanceState(i))
	}
	for _, f := range s.Configs.Files {
		add("file", f.Config, f.Path, f.State, strings.TrimSpace(f.Release+" "+f.Error))
	}
	if d := s.LocalDNS; d != nil {
		add("dns", d.Address, strings.Join(d.Zones, " "), fmt.Sprintf("%d answers", d.Answers), strings.TrimSpace(d.Forwarding+" "+d.Snapshot))
		for _, v := range d.Servers {
			state := "up"
			if !v.Up {
				state = "down"
			}
			add("dns server", v.Address, state, v.Error)
		}
		if !d.StaleSince.IsZero() {
			add("dns", "stale", "since "+d.StaleSince.Format(time.RFC3339))
		}
	}
	return rows
}

// instanceState says what keeps an instance from being answered, beside its health.
func instanceState(i roll.InstanceStatus) string {
	var all []string
	if i.Rejected != "" {
		all = append(all, i.Rejected)
	}
	if i.Standby != "" {
		all = append(all, "standby: "+i.Standby)
	}
	if i.Withdrawn {
		all = append(all, "withdrawn")
	}
	if i.Maintenance != nil {
		all = append(all, strings.TrimSpace("maintenance: "+i.Maintenance.Reason))
	}
	for _, k := range i.Checks {
		if k.Flapping {
			all = append(all, "flapping: "+k.Check)
		}
	}
	return strings.Join(all, "; ")
}

// amiss returns an error for each thing that is not as it should be. What an
// operator asked for is as it should be: a drain, and maintenance.
func amiss(s agent.Status) error {
	var all []error
	add := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	for _, e := range []string{s.Server.Error, s.Server.Standby, s.Server.State, s.TLSError, s.Directory.Error, s.Configs.Error} {
		if e != "" {
			add("%s", e)
		}
	}
	for _, d := range s.Definitions {
		for _, e := range append([]string{d.Error}, d.Problems...) {
			if e != "" {
				add("%s: %s", d.Origin, e)
			}
		}
	}
	for _, i := range s.Instances {
		if i.Health != api.HealthPassing || i.Rejected != "" || i.Standby != "" || i.Withdrawn {
			add("%s: %s %s", i.Key(), i.Health, instanceState(i))
		}
	}
	for _, f := range s.Configs.Files {
		if f.State != configfile.StateInStep && f.State != configfile.StateDelayed && f.State != configfile.StateGone {
			add("%s: %s", cmp.Or(f.Path, f.Config), f.State)
		}
	}
	if d := s.LocalDNS; d != nil && !d.StaleSince.IsZero() {
		add("local DNS answers what it kept: no server answers since %s", d.StaleSince.Format(time.RFC3339))
	}
	return errors.Join(all...)
}
