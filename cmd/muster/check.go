package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/agent"
	"github.com/musterhq/muster/agent/definition"
	"github.com/musterhq/muster/server"
)

func checkCommand() *cli.Command {
	return &cli.Command{Name: "check", Usage: "check a settings file, a definition file or a Corefile", ArgsUsage: "FILE",
		Flags: []cli.Flag{&cli.StringFlag{Name: "kind", Usage: "what FILE is: server, agent, services or corefile; told from its content when not given"}},
		Action: func(c *cli.Context) error {
			args, err := names(c, "FILE")
			if err != nil {
				return err
			}
			content, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			kind := c.String("kind")
			if kind == "" && strings.TrimSpace(string(content)) == "" {
				return fmt.Errorf("%s: is empty; --kind says what it is to be", args[0])
			}
			if kind == "" {
				kind = guessKind(args[0], string(content))
			}
			if err := checkFile(kind, args[0], content); err != nil {
				return err
			}
			if _, err = fmt.Fprintf(c.App.Writer, "%s: a good %s\n", args[0], kinds[kind]); err != nil || kind != "server" {
				return err
			}
			return explainGRPC(c.App.Writer, args[0])
		}}
}

var kinds = map[string]string{"server": "settings file of a server", "agent": "settings file of an agent",
	"services": "definition file", "corefile": "Corefile"}

// guessKind tells what a file is from its name and its first keys.
func guessKind(path, content string) string {
	if strings.Contains(filepath.Base(path), "Corefile") || strings.Contains(content, "{\n") {
		return "corefile"
	}
	for line := range strings.Lines(content) {
		key, _, found := strings.Cut(line, ":")
		switch {
		case !found || strings.TrimLeft(key, " -#\"") != key:
		case key == "services":
			return "services"
		case slices.Contains([]string{"files", "bundles", "mirrors", "services_dir", "servers", "id", "tag"}, key):
			return "agent"
		}
	}
	if strings.HasPrefix(strings.TrimSpace(content), "{") {
		return "services"
	}
	return "server"
}

func checkFile(kind, path string, content []byte) error {
	switch kind {
	case "corefile":
		return server.CheckCorefile(content, path)
	case "services":
		return checkServices(path, content)
	case "server":
		var cfg server.Config
		if err := readSettings(path, &cfg); err != nil {
			return err
		}
		if err := cfg.CheckFiles(); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	case "agent":
		var cfg agent.Config
		if err := readSettings(path, &cfg); err != nil {
			return err
		}
		if _, err := agent.New(cfg); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if cfg.Corefile != "" {
			if _, err := cfg.CorefileText(); err != nil {
				return fmt.Errorf("%s: corefile: %w", path, err)
			}
		}
		return nil
	}
	return usagef("kind: %q is not one of server, agent, services, corefile", kind)
}

// explainGRPC says where clients of Nacos find a server with those settings, as they are
// told of HTTP alone.
func explainGRPC(to io.Writer, path string) error {
	var cfg server.Config
	if err := readSettings(path, &cfg); err != nil {
		return err
	}
	cfg, err := cfg.WithDefaults()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(to, "gRPC:", cfg.WhereGRPC())
	return err
}

// checkServices checks a definition file, and what its address templates yield
// on this host.
func checkServices(path string, content []byte) error {
	services, err := definition.Decode(path, content)
	if err != nil {
		return err
	}
	for i, s := range services {
		if s.Address == "" {
			continue
		}
		if _, err := definition.ResolveAddress(s.Address); err != nil {
			return fmt.Errorf("%s: services[%d].address: %w", path, i, err)
		}
	}
	return nil
}
