package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"strconv"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/etcdstore/embedded"
	"github.com/musterhq/muster/etcdstore/keeper"
	"github.com/musterhq/muster/internal/sdnotify"
	"github.com/musterhq/muster/server"
)

func serverCommand() *cli.Command {
	return &cli.Command{Name: "server", Usage: "run a server: registry, configuration centre, DNS, HTTP", Flags: serverFlags(), Action: serve}
}

// etcdCommandName is how a server calls itself to run its embedded etcd.
const etcdCommandName = "etcd"

// etcdCommand is for servers, not for people: it reads its settings from its
// standard input, and ends with it.
func etcdCommand() *cli.Command {
	return &cli.Command{Name: etcdCommandName, Hidden: true, Action: func(c *cli.Context) error {
		if code := keeper.Main(os.Stdin, os.Stdout, os.Stderr); code != 0 {
			return errReported
		}
		return nil
	}}
}

func serverFlags() []cli.Flag {
	return append(append(settingFlags(),
		&cli.BoolFlag{Name: "print-corefile", Usage: "print the Corefile that would be used, and exit"}), logFlags()...)
}

// settingFlags are those that say what a server is.
func settingFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", EnvVars: []string{"MUSTER_CONFIG"}, Usage: "settings `FILE`; flags and environment go before it"},
		&cli.StringFlag{Name: "http", EnvVars: []string{"MUSTER_HTTP"}, Usage: "listen `ADDRESS` for HTTP", DefaultText: server.DefaultHTTP},
		&cli.StringFlag{Name: "grpc", EnvVars: []string{"MUSTER_GRPC"}, Usage: "listen `ADDRESS` for gRPC, which clients of Nacos look for 1000 above the port of --http; off for none", DefaultText: "there"},
		&cli.BoolFlag{Name: "grpc-on-http", EnvVars: []string{"MUSTER_GRPC_ON_HTTP"}, Usage: "answer gRPC at the address of --http too"},
		&cli.StringFlag{Name: "dns", EnvVars: []string{"MUSTER_DNS"}, Usage: "listen `ADDRESS` for DNS, UDP and TCP", DefaultText: server.DefaultDNS},
		&cli.StringFlag{Name: "dns-tls", EnvVars: []string{"MUSTER_DNS_TLS"}, Usage: "listen `ADDRESS` for DNS over TLS, with the certificate of --tls-cert"},
		&cli.StringFlag{Name: "dns-https", EnvVars: []string{"MUSTER_DNS_HTTPS"}, Usage: "listen `ADDRESS` for DNS over HTTPS, likewise"},
		&cli.StringFlag{Name: "dns-quic", EnvVars: []string{"MUSTER_DNS_QUIC"}, Usage: "listen `ADDRESS` for DNS over QUIC, likewise"},
		&cli.StringFlag{Name: "push", EnvVars: []string{"MUSTER_PUSH"}, Usage: "`ADDRESS` that UDP pushes to Nacos clients leave from", DefaultText: "the host of --http, at any port"},
		&cli.StringSliceFlag{Name: "zone", EnvVars: []string{"MUSTER_ZONE"}, Usage: "`ZONE` to serve, repeatable", DefaultText: server.DefaultZone},
		&cli.StringSliceFlag{Name: "ns", EnvVars: []string{"MUSTER_NS"}, Usage: "`NAME=ADDRESS` of a name server of the zones, repeatable", DefaultText: "ns1.<zone> at the advertised address"},
		&cli.StringFlag{Name: "advertise", EnvVars: []string{"MUSTER_ADVERTISE"}, Usage: "`ADDRESS` others reach this server by, or a go-sockaddr template"},
		&cli.StringFlag{Name: "advertise-http", EnvVars: []string{"MUSTER_ADVERTISE_HTTP"}, Usage: "`URL` other servers reach HTTP by", DefaultText: "made of --http and --advertise"},
		&cli.StringFlag{Name: "data-dir", EnvVars: []string{"MUSTER_DATA_DIR"}, Usage: "`DIRECTORY` of what must survive a restart", DefaultText: server.DefaultDataDir},
		&cli.StringFlag{Name: "min-free", EnvVars: []string{"MUSTER_MIN_FREE"}, Usage: "`SIZE` that the disk of the data directory must have free for writes to be taken, 0 for none", DefaultText: server.DefaultMinFree},
		&cli.StringFlag{Name: "quota", EnvVars: []string{"MUSTER_QUOTA"}, Usage: "`SIZE` that the file of the embedded etcd may grow to", DefaultText: server.DefaultQuota},
		&cli.StringFlag{Name: "name", EnvVars: []string{"MUSTER_NAME"}, Usage: "`NAME` of this server, unique among the members of an embedded cluster"},
		&cli.StringFlag{Name: "peer", EnvVars: []string{"MUSTER_PEER"}, Usage: "listen `HOST:PORT` for other members: the embedded etcd is one of several"},
		&cli.StringFlag{Name: "initial-cluster", EnvVars: []string{"MUSTER_INITIAL_CLUSTER"}, Usage: "the members at the first start, `NAME=HOST:PORT,...`, this one among them"},
		&cli.BoolFlag{Name: "join", EnvVars: []string{"MUSTER_JOIN"}, Usage: "the first start joins a cluster that runs, after a member add"},
		&cli.StringFlag{Name: "peer-cert", EnvVars: []string{"MUSTER_PEER_CERT"}, Usage: "certificate `FILE` of this member, for server and client"},
		&cli.StringFlag{Name: "peer-key", EnvVars: []string{"MUSTER_PEER_KEY"}, Usage: "key `FILE` of that certificate"},
		&cli.StringFlag{Name: "peer-ca", EnvVars: []string{"MUSTER_PEER_CA"}, Usage: "`FILE` with the authority of the members' certificates, and of nothing else"},
		&cli.StringFlag{Name: "peer-crl", EnvVars: []string{"MUSTER_PEER_CRL"}, Usage: "`FILE` that lists, in DER, certificates of that authority that are refused; it is read for each connection"},
		&cli.StringSliceFlag{Name: "etcd", EnvVars: []string{"MUSTER_ETCD"}, Usage: "`URL` of an external etcd, repeatable; embedded when not given"},
		&cli.StringFlag{Name: "etcd-cert", EnvVars: []string{"MUSTER_ETCD_CERT"}, Usage: "client certificate `FILE` for etcd"},
		&cli.StringFlag{Name: "etcd-key", EnvVars: []string{"MUSTER_ETCD_KEY"}, Usage: "key `FILE` of the client certificate"},
		&cli.StringFlag{Name: "etcd-ca", EnvVars: []string{"MUSTER_ETCD_CA"}, Usage: "`FILE` with the authorities to trust for etcd"},
		&cli.StringFlag{Name: "etcd-user", EnvVars: []string{"MUSTER_ETCD_USER"}, Usage: "user `NAME` for etcd; its password comes from MUSTER_ETCD_PASSWORD or the settings file"},
		&cli.StringFlag{Name: "labels-file", EnvVars: []string{"MUSTER_LABELS_FILE"}, Usage: "CSV or JSON `FILE` of the labels of addresses"},
		&cli.StringFlag{Name: "labels-url", EnvVars: []string{"MUSTER_LABELS_URL"}, Usage: "`URL` that answers the labels of addresses in CSV or JSON; headers for it come from MUSTER_LABELS_HEADER or the settings file"},
		&cli.DurationFlag{Name: "labels-interval", EnvVars: []string{"MUSTER_LABELS_INTERVAL"}, Usage: "how often to look for new labels", DefaultText: "5s for a file, 30s for a URL"},
		&cli.DurationFlag{Name: "labels-timeout", EnvVars: []string{"MUSTER_LABELS_TIMEOUT"}, Usage: "how long one call for labels may take", DefaultText: "10s"},
		&cli.StringFlag{Name: "corefile", EnvVars: []string{"MUSTER_COREFILE"}, Usage: "`FILE` that replaces the generated Corefile"},
		&cli.BoolFlag{Name: "nacos-protect-at-zero", EnvVars: []string{"MUSTER_NACOS_PROTECT_AT_ZERO"}, Usage: "answer all of a service that has no healthy instance and a protect threshold of 0, as Nacos does; alike on all servers"},
		&cli.IntFlag{Name: "check-in-flight", EnvVars: []string{"MUSTER_CHECK_IN_FLIGHT"}, Usage: "`NUMBER` of checks of persistent instances that are tried at once", DefaultText: strconv.Itoa(server.DefaultInFlight)},
		&cli.StringSliceFlag{Name: "check-allow", EnvVars: []string{"MUSTER_CHECK_ALLOW"}, Usage: "`NETWORK` that may be probed, repeatable", DefaultText: "all but link-local, multicast and metadata addresses"},
		&cli.StringSliceFlag{Name: "check-deny", EnvVars: []string{"MUSTER_CHECK_DENY"}, Usage: "`NETWORK`, or ADDRESS:PORT, that may not be probed, repeatable"},
		&cli.StringFlag{Name: "config-key", EnvVars: []string{"MUSTER_CONFIG_KEY"}, Usage: "`FILE` of the keys under which documents are encrypted where they are stored"},
		&cli.IntFlag{Name: "config-track-days", EnvVars: []string{"MUSTER_CONFIG_TRACK_DAYS"}, Usage: "remember for `N` days which client held which version of a document", DefaultText: strconv.Itoa(server.DefaultTrackDays)},
		&cli.IntFlag{Name: "audit-keep-days", EnvVars: []string{"MUSTER_AUDIT_KEEP_DAYS"}, Usage: "keep for `N` days who changed what", DefaultText: strconv.Itoa(audit.DefaultKeepDays)},
		&cli.BoolFlag{Name: "audit-required", EnvVars: []string{"MUSTER_AUDIT_REQUIRED"}, Usage: "refuse calls that change something while they cannot be recorded"},
		&cli.StringFlag{Name: "audit-syslog", EnvVars: []string{"MUSTER_AUDIT_SYSLOG"}, Usage: "`ADDRESS` of a syslog that takes who changed what, too: unix:///PATH, udp://HOST:PORT or tcp://HOST:PORT"},
		&cli.StringFlag{Name: "audit-webhook", EnvVars: []string{"MUSTER_AUDIT_WEBHOOK"}, Usage: "`URL` to which it is posted, too; a header for it comes from MUSTER_AUDIT_WEBHOOK_HEADER or the settings file"},
		&cli.BoolFlag{Name: "insecure", EnvVars: []string{"MUSTER_INSECURE"}, Usage: "allow HTTP beyond loopback without TLS, or without authentication"},
		&cli.StringFlag{Name: "auth", EnvVars: []string{"MUSTER_AUTH"}, Usage: "whether callers must log in: `MODE` on, off, or auto, which is on where HTTP is beyond loopback, or behind a trusted proxy", DefaultText: server.AuthAuto},
		&cli.StringFlag{Name: "auth-key", EnvVars: []string{"MUSTER_AUTH_KEY"}, Usage: "`FILE` of the keys that guard those of sessions; all servers have the same", DefaultText: "auth.key in the data directory, made at the first start"},
		&cli.StringSliceFlag{Name: "trusted-proxies", EnvVars: []string{"MUSTER_TRUSTED_PROXIES"}, Usage: "`NETWORK` or address of proxies whose X-Forwarded-For says where calls over HTTP come from, repeatable"},
		&cli.StringFlag{Name: "tls-cert", EnvVars: []string{"MUSTER_TLS_CERT"}, Usage: "certificate `FILE`, with which HTTP speaks TLS and this server asks others"},
		&cli.StringFlag{Name: "tls-key", EnvVars: []string{"MUSTER_TLS_KEY"}, Usage: "key `FILE` of that certificate"},
		&cli.StringFlag{Name: "tls-ca", EnvVars: []string{"MUSTER_TLS_CA"}, Usage: "`FILE` with the authorities of other servers' certificates", DefaultText: "those of the system"},
		&cli.StringFlag{Name: "tls-client-ca", EnvVars: []string{"MUSTER_TLS_CLIENT_CA"}, Usage: "`FILE` with the authorities of the certificates that clients may show"},
		&cli.BoolFlag{Name: "tls-client-required", EnvVars: []string{"MUSTER_TLS_CLIENT_REQUIRED"}, Usage: "let nobody in over HTTP who shows no certificate"},
	}
}

func logFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "log-level", EnvVars: []string{"MUSTER_LOG_LEVEL"}, Value: "info", Usage: "`LEVEL`: debug, info, warn or error"},
		&cli.StringFlag{Name: "log-format", EnvVars: []string{"MUSTER_LOG_FORMAT"}, Value: "text", Usage: "`FORMAT`: text or json"},
	}
}

// newLogger returns the logger the flags ask for. What libraries write to the
// standard one goes the same way.
func newLogger(c *cli.Context, to io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return nil, usagef("log-level: %q is not one of debug, info, warn, error", c.String("log-level"))
	}
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler
	switch format := c.String("log-format"); format {
	case "text":
		handler = slog.NewTextHandler(to, options)
	case "json":
		handler = slog.NewJSONHandler(to, options)
	default:
		return nil, usagef("log-format: %q is not one of text, json", format)
	}
	logger := slog.New(handler)
	slog.SetDefault(logger)
	return logger, nil
}

// over sets what a flag, or its variable in the environment, says.
// An empty variable says nothing.
func over[T any](c *cli.Context, flag string, value func(string) T, to *T) {
	if !c.IsSet(flag) {
		return
	}
	if said := value(flag); !reflect.ValueOf(said).IsZero() || reflect.TypeOf(said).Kind() == reflect.Bool {
		*to = said
	}
}

// serverConfig reads settings file, environment and flags, the later over the
// earlier.
func serverConfig(c *cli.Context) (server.Config, error) {
	var cfg server.Config
	if path := c.String("config"); path != "" {
		if err := readSettings(path, &cfg); err != nil {
			return cfg, err
		}
	}
	for _, flag := range []string{"config-track-days", "check-in-flight", "audit-keep-days"} {
		if c.IsSet(flag) && c.Int(flag) == 0 { // in the file it stands for what it is when nothing is said
			return cfg, usagef("%s: 0 is not 1 or more", flag)
		}
	}
	for _, flag := range []string{"labels-interval", "labels-timeout"} {
		if c.IsSet(flag) && c.Duration(flag) == 0 {
			return cfg, usagef("%s: 0 is not more than nothing", flag)
		}
	}
	over(c, "http", c.String, &cfg.HTTP)
	over(c, "grpc", c.String, &cfg.GRPC)
	over(c, "grpc-on-http", c.Bool, &cfg.GRPCOnHTTP)
	over(c, "dns", c.String, &cfg.DNS)
	over(c, "dns-tls", c.String, &cfg.DNSTLS)
	over(c, "dns-https", c.String, &cfg.DNSHTTPS)
	over(c, "dns-quic", c.String, &cfg.DNSQUIC)
	over(c, "push", c.String, &cfg.Push)
	over(c, "zone", c.StringSlice, &cfg.Zones)
	over(c, "ns", c.StringSlice, &cfg.NameServers)
	over(c, "advertise", c.String, &cfg.Advertise)
	over(c, "advertise-http", c.String, &cfg.AdvertiseHTTP)
	over(c, "data-dir", c.String, &cfg.DataDir)
	over(c, "config-key", c.String, &cfg.ConfigKeyFile)
	over(c, "config-track-days", c.Int, &cfg.TrackDays)
	over(c, "min-free", c.String, &cfg.MinFree)
	over(c, "quota", c.String, &cfg.Quota)
	over(c, "name", c.String, &cfg.Cluster.Name)
	over(c, "peer", c.String, &cfg.Cluster.Listen)
	over(c, "initial-cluster", c.String, &cfg.Cluster.Initial)
	over(c, "join", c.Bool, &cfg.Cluster.Join)
	over(c, "peer-cert", c.String, &cfg.Cluster.CertFile)
	over(c, "peer-key", c.String, &cfg.Cluster.KeyFile)
	over(c, "peer-ca", c.String, &cfg.Cluster.CAFile)
	over(c, "peer-crl", c.String, &cfg.Cluster.CRLFile)
	over(c, "etcd", c.StringSlice, &cfg.Etcd.URLs)
	over(c, "etcd-cert", c.String, &cfg.Etcd.CertFile)
	over(c, "etcd-key", c.String, &cfg.Etcd.KeyFile)
	over(c, "etcd-ca", c.String, &cfg.Etcd.CAFile)
	over(c, "etcd-user", c.String, &cfg.Etcd.Username)
	if password, ok := os.LookupEnv("MUSTER_ETCD_PASSWORD"); ok {
		cfg.Etcd.Password = password
	}
	over(c, "labels-file", c.String, &cfg.Labels.File)
	over(c, "labels-url", c.String, &cfg.Labels.URL)
	over(c, "labels-interval", c.Duration, &cfg.Labels.Interval)
	over(c, "labels-timeout", c.Duration, &cfg.Labels.Timeout)
	if err := headerOf("MUSTER_LABELS_HEADER", &cfg.Labels.Headers); err != nil {
		return cfg, err
	}
	over(c, "corefile", c.String, &cfg.Corefile)
	over(c, "nacos-protect-at-zero", c.Bool, &cfg.ProtectAtZero)
	over(c, "check-in-flight", c.Int, &cfg.Checks.InFlight)
	over(c, "check-allow", c.StringSlice, &cfg.Checks.Allow)
	over(c, "check-deny", c.StringSlice, &cfg.Checks.Deny)
	over(c, "audit-keep-days", c.Int, &cfg.Audit.KeepDays)
	over(c, "audit-required", c.Bool, &cfg.Audit.Required)
	over(c, "audit-syslog", c.String, &cfg.Audit.Syslog)
	over(c, "audit-webhook", c.String, &cfg.Audit.Webhook.URL)
	if err := headerOf("MUSTER_AUDIT_WEBHOOK_HEADER", &cfg.Audit.Webhook.Headers); err != nil {
		return cfg, err
	}
	over(c, "insecure", c.Bool, &cfg.Insecure)
	over(c, "auth", c.String, &cfg.Auth)
	over(c, "trusted-proxies", c.StringSlice, &cfg.TrustedProxies)
	over(c, "tls-cert", c.String, &cfg.TLS.CertFile)
	over(c, "tls-key", c.String, &cfg.TLS.KeyFile)
	over(c, "tls-ca", c.String, &cfg.TLS.CAFile)
	over(c, "tls-client-ca", c.String, &cfg.TLS.ClientCAFile)
	over(c, "tls-client-required", c.Bool, &cfg.TLS.ClientRequired)
	over(c, "auth-key", c.String, &cfg.AuthKeyFile)
	cfg.Version = version
	return cfg, nil
}

// checkedServer is serverConfig for a server that is to be started, with what is wrong
// told before anything is.
func checkedServer(c *cli.Context) (server.Config, error) {
	cfg, err := serverConfig(c)
	if err != nil {
		return cfg, err
	}
	if _, err = cfg.WithDefaults(); err != nil {
		return cfg, settingFault(c, err, func(path string) error {
			var alone server.Config
			if err := readSettings(path, &alone); err != nil {
				return err
			}
			_, err := alone.WithDefaults()
			return err
		})
	}
	return cfg, nil
}

// settingFault says where a wrong setting stands: in the file, when that is wrong in the same
// way alone, else on the command line or in the environment. What is wrong with this host is
// no setting's fault: service managers do not start again what ends with a wrong command line.
func settingFault(c *cli.Context, err error, alone func(path string) error) error {
	if _, ofFile := errors.AsType[*embedded.FileError](err); ofFile || errors.Is(err, server.ErrNoAddress) {
		return err
	}
	if path := c.String("config"); path != "" {
		if own := alone(path); own != nil && own.Error() == err.Error() {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return usageError{err}
}

// headerOf sets the header that a variable of the environment has, as NAME: VALUE. It
// goes before one of the same name in the file.
func headerOf(variable string, to *map[string]string) error {
	text := os.Getenv(variable)
	if text == "" {
		return nil
	}
	name, value, ok := strings.Cut(text, ":")
	if !ok {
		return usagef("%s is not of the form NAME: VALUE", variable) // it may be a secret
	}
	maps.DeleteFunc(*to, func(n, _ string) bool { return strings.EqualFold(n, name) })
	if *to == nil {
		*to = map[string]string{}
	}
	(*to)[name] = strings.TrimSpace(value)
	return nil
}

func serve(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	cfg, err := checkedServer(c)
	if err != nil {
		return err
	}
	if c.Bool("print-corefile") {
		return printCorefile(c, cfg)
	}
	if cfg.Logger, err = newLogger(c, c.App.ErrWriter); err != nil {
		return err
	}
	if cfg.Notifier, err = sdnotify.FromEnvironment(cfg.Logger); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	cfg.EtcdCommand = []string{program, etcdCommandName}
	s, err := server.Open(c.Context, cfg)
	if errors.Is(err, context.Canceled) && c.Err() != nil {
		return nil // asked to stop before it had started
	}
	if err != nil {
		return err
	}
	defer onSignal(func() {
		cfg.Notifier.Reloading()
		state := "the Corefile is reloaded"
		if err := s.ReloadCorefile(); err != nil {
			cfg.Logger.Error("the Corefile is not reloaded, the old one goes on", "err", err)
			state = "the Corefile is wrong, the old one goes on"
		}
		cfg.Notifier.Ready(state)
	}, syscall.SIGHUP)()
	return s.Run(c.Context)
}

func printCorefile(c *cli.Context, cfg server.Config) error {
	cfg, err := cfg.WithDefaults()
	if err != nil {
		return err
	}
	text, err := cfg.CorefileText()
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(c.App.Writer, string(text))
	return err
}
