package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/registry"
	"github.com/musterhq/muster/server"
)

func devCommand() *cli.Command {
	return &cli.Command{Name: "dev", Usage: "run server, agent and a sample service with throw-away data, and say what to try",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "http", EnvVars: []string{"MUSTER_HTTP"}, Value: server.DefaultHTTP, Usage: "listen `ADDRESS` for HTTP"},
			&cli.StringFlag{Name: "grpc", EnvVars: []string{"MUSTER_GRPC"}, Usage: "listen `ADDRESS` for gRPC, off for none", DefaultText: "1000 above the port of --http"},
			&cli.StringFlag{Name: "dns", EnvVars: []string{"MUSTER_DNS"}, Value: server.DefaultDNS, Usage: "listen `ADDRESS` for DNS"},
			&cli.StringFlag{Name: "agent-http", EnvVars: []string{"MUSTER_AGENT_HTTP"}, Value: agent.DefaultHTTP, Usage: "listen `ADDRESS` of the agent's local API"},
			&cli.StringFlag{Name: "agent-dns", EnvVars: []string{"MUSTER_AGENT_DNS"}, Usage: "listen `ADDRESS` of the agent's DNS, off for none", DefaultText: agent.DefaultDNS},
			&cli.StringFlag{Name: "zone", Value: server.DefaultZone, Usage: "`ZONE` to serve"},
			&cli.StringFlag{Name: "log-level", Value: "warn", Usage: "`LEVEL`: debug, info, warn or error"},
			&cli.StringFlag{Name: "log-format", Value: "text", Usage: "`FORMAT`: text or json"},
		}, Action: dev}
}

// The sample service: two instances of one small web server.
const (
	sampleName  = "hello"
	sampleReady = 10 * time.Second
)

func dev(c *cli.Context) (err error) {
	if _, err := names(c); err != nil {
		return err
	}
	logger, err := newLogger(c, c.App.ErrWriter)
	if err != nil {
		return err
	}
	asked, release := signal.NotifyContext(c.Context, syscall.SIGHUP) // the terminal was closed
	defer release()
	cfg := server.Config{HTTP: c.String("http"), GRPC: c.String("grpc"), DNS: c.String("dns"), Zones: []string{c.String("zone")},
		Version: version, Logger: logger, Throwaway: true}
	if _, err := cfg.WithDefaults(); err != nil {
		return settingFault(c, err, nil)
	}
	dir, err := os.MkdirTemp("", "muster-dev-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cfg.DataDir = filepath.Join(dir, "server")
	s, err := server.Open(asked, cfg)
	if errors.Is(err, context.Canceled) && asked.Err() != nil {
		return nil // asked to stop before it had started
	}
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(asked)
	// The server outlives the agent, which takes leave of it.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error { return s.Run(serving) })
	g.Go(func() error {
		defer stop()
		return devAgent(ctx, c, s, dir, logger)
	})
	return g.Wait()
}

// devAgent runs the sample service and an agent for it until ctx ends.
func devAgent(ctx context.Context, c *cli.Context, s *server.Server, dir string, logger *slog.Logger) error {
	ports, sample, err := sampleService(ctx)
	if err != nil {
		return err
	}
	defer sample()
	services := filepath.Join(dir, "services.d")
	if err := writeSample(services, ports); err != nil {
		return err
	}
	a, err := agent.New(agent.Config{DataDir: filepath.Join(dir, "agent"), Servers: []string{"http://" + s.Addresses().HTTP},
		ServicesDir: services, HTTP: c.String("agent-http"), DNS: c.String("agent-dns"), Zones: s.Zones(), DNSServers: []string{s.Addresses().DNS},
		DrainWait: new(time.Duration(0)), Version: version, Logger: logger})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Run(ctx) })
	g.Go(func() error {
		if !sampleStands(ctx, s) && ctx.Err() == nil {
			logger.Warn("the sample service does not pass its checks yet")
		}
		if ctx.Err() != nil {
			return nil
		}
		return announce(c, s, a, dir)
	})
	return g.Wait()
}

// sampleService starts the instances of the sample service and returns their
// ports.
func sampleService(ctx context.Context) (ports []int, stop func(), err error) {
	var servers []*http.Server
	stop = func() {
		for _, s := range servers {
			_ = s.Close() // it only answers hello
		}
	}
	for range 2 {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			stop()
			return nil, nil, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "hello from port %d\n", port)
		})}
		servers, ports = append(servers, s), append(ports, port)
		go s.Serve(l) //nolint:errcheck // ends with Close
	}
	return ports, stop, nil
}

func writeSample(dir string, ports []int) error {
	var b strings.Builder
	b.WriteString("services:\n")
	for i, port := range ports {
		fmt.Fprintf(&b, "  - name: %s\n    address: 127.0.0.1\n    port: %d\n    weight: %d\n    checks:\n      - http: http://127.0.0.1:%d/\n",
			sampleName, port, 1+2*i, port)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, sampleName+".yaml"), []byte(b.String()), 0o600)
}

// sampleStands waits until the sample service can be resolved.
func sampleStands(ctx context.Context, s *server.Server) bool {
	ctx, cancel := context.WithTimeout(ctx, sampleReady)
	defer cancel()
	return s.Await(ctx, func(snap *registry.Snapshot) bool {
		v := snap.Service(registry.ServiceKey{Namespace: registry.DefaultNamespace, Group: registry.DefaultGroup, Name: sampleName})
		return v != nil && v.Healthy == 2
	})
}

// announce says what to try.
func announce(c *cli.Context, s *server.Server, a *agent.Agent, dir string) error {
	at := s.Addresses()
	host, port, err := net.SplitHostPort(at.DNS)
	if err != nil {
		return err
	}
	name := sampleName + ".svc." + strings.TrimSuffix(s.Zones()[0], ".")
	onHost := ""
	if d := a.Status().LocalDNS; d != nil {
		host, port, err := net.SplitHostPort(d.Address)
		if err != nil {
			return err
		}
		onHost = fmt.Sprintf("  dig @%s -p %s A %s +short        # the agent's DNS, as on each host\n", host, port, name)
	}
	_, err = fmt.Fprintf(c.App.Writer, `muster dev is running: server, agent and the service %[1]q with two instances.

  HTTP      http://%[2]s        (/v1, /nacos, /openapi.json, /metrics)
  gRPC      %[9]s               (clients of Nacos from 2.0 on)
  DNS       %[3]s
  data      %[4]s, removed at the end

Try:

  dig @%[5]s -p %[6]s SRV %[7]s
  dig @%[5]s -p %[6]s A %[7]s +short
%[8]s  curl 'http://%[2]s/nacos/v1/ns/instance/list?serviceName=%[1]s'
  curl -X POST 'http://%[2]s/nacos/v1/cs/configs?dataId=app.yaml&group=DEFAULT_GROUP&content=hello'
  curl http://%[2]s/v1/configs/public/DEFAULT_GROUP/app.yaml

Ctrl-C ends it.
`, sampleName, at.HTTP, at.DNS, dir, host, port, name, onHost, at.GRPC)
	return err
}
