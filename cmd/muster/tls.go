package main

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"time"

	"github.com/urfave/cli/v2"

	signing "github.com/musterhq/muster/internal/authority"
)

// Defaults of certificates, in days.
const (
	authorityDays   = 3650
	certificateDays = 365
	maxDays         = 36500
)

func tlsCommand() *cli.Command {
	return &cli.Command{Name: "tls", Usage: "make the certificates of a small authority of one's own", Subcommands: []*cli.Command{
		{Name: "init", Usage: "make an authority and a first server's certificate in a directory", ArgsUsage: "DIRECTORY",
			Description: "What is there already is never replaced. Keep ca-key.pem away from servers: whoever has it can be any of them.",
			Flags: []cli.Flag{hostFlag(""), daysFlag(),
				&cli.StringFlag{Name: "authority", Value: "Muster", Usage: "`NAME` of the authority"},
				&cli.StringFlag{Name: "name", Value: "server", Usage: "`NAME` of the server, and of its files"},
			}, Action: initTLS},
		{Name: "issue", Usage: "make a certificate of that authority, for a server or for an agent", ArgsUsage: "DIRECTORY NAME",
			Description: "NAME is that of the server, or with --agent the id of the agent: what a certificate says is who shows it.",
			Flags: []cli.Flag{hostFlag("; of an agent none"), daysFlag(),
				&cli.BoolFlag{Name: "agent", Usage: "for an agent; without --host it is good for opening connections alone, with it for taking them, too"},
				&cli.BoolFlag{Name: "replace", Usage: "replace the files of a certificate that was made before"},
			}, Action: issueTLS},
	}}
}

func hostFlag(more string) cli.Flag {
	return &cli.StringSliceFlag{Name: "host", Usage: "`HOST`, a name or an IP address, by which it is reached, repeatable", DefaultText: "localhost, 127.0.0.1 and ::1" + more}
}

func daysFlag() cli.Flag {
	return &cli.IntFlag{Name: "days", Value: certificateDays, Usage: "for how many `DAYS` the certificate is good"}
}

func initTLS(c *cli.Context) error {
	args, err := names(c, "DIRECTORY")
	if err != nil {
		return err
	}
	wish, err := wishOf(c, c.String("name"), "server")
	if err != nil {
		return err
	}
	a, err := signing.Init(args[0], c.String("authority"), authorityDays*24*time.Hour)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.App.Writer, "authority %q in %s, good until %s\n", c.String("authority"), a.File, a.Cert.NotAfter.Format(time.DateOnly))
	return grant(c, a, wish)
}

func issueTLS(c *cli.Context) error {
	args, err := names(c, "DIRECTORY", "NAME")
	if err != nil {
		return err
	}
	kind := "server"
	if c.Bool("agent") {
		kind = "agent"
	}
	wish, err := wishOf(c, args[1], kind)
	if err != nil {
		return err
	}
	a, err := signing.Open(args[0])
	if err != nil {
		return err
	}
	return grant(c, a, wish)
}

// fileName is what the name of a server or the id of an agent may be: a file is
// called so.
var fileName = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$`)

func wishOf(c *cli.Context, name, kind string) (w signing.Wish, err error) {
	switch {
	case !fileName.MatchString(name):
		return w, usagef("name: %q is not 1 to 64 letters, digits, dots, _ and -, a letter or digit first", name)
	case name == "ca":
		return w, usagef("name: ca is the authority itself")
	}
	days := c.Int("days")
	if days < 1 || days > maxDays {
		return w, usagef("days: %d is not 1 to %d", days, maxDays)
	}
	hosts := c.StringSlice("host")
	w = signing.Wish{Name: name, Good: time.Duration(days) * 24 * time.Hour, Client: kind == "agent" && len(hosts) == 0, Replace: c.Bool("replace"),
		URI: &url.URL{Scheme: "muster", Host: kind, Path: "/" + name}}
	if w.Client {
		return w, nil
	}
	if len(hosts) == 0 {
		hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	for _, host := range hosts {
		switch ip := net.ParseIP(host); {
		case ip != nil:
			w.IPs = append(w.IPs, ip)
		case hostName.MatchString(host):
			w.DNS = append(w.DNS, host)
		default:
			return w, usagef("host: %q is neither a name nor an IP address", host)
		}
	}
	return w, nil
}

// hostName is a name of DNS, of which the first label may stand for any.
var hostName = regexp.MustCompile(`^(\*\.)?[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?(\.[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?)*$`)

func grant(c *cli.Context, a *signing.Authority, w signing.Wish) error {
	cert, key, err := a.Grant(w)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "certificate of %s in %s, its key in %s\n", w.URI, cert, key)
	return err
}
