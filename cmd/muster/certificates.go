package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/server"
)

func authCertificateCommand() *cli.Command {
	const args = "CERTIFICATE"
	what := "CERTIFICATE is a file with it, its serial number in hex, or agent/ID or server/NAME for all of that agent or server."
	return &cli.Command{Name: "certificate", Usage: "refuse certificates of clients", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list those that were revoked", Flags: remoteFlags(), Action: listRevoked},
		{Name: "revoke", Usage: "refuse one, or all of an agent or a server, from now on", ArgsUsage: args, Description: what, Flags: remoteFlags(),
			Action: onCertificate((*client.Client).RevokeCertificates, "revoked %s")},
		{Name: "restore", Usage: "take that back", ArgsUsage: args, Description: what, Flags: remoteFlags(),
			Action: onCertificate((*client.Client).RestoreCertificates, "restored %s")},
	}}
}

// onCertificate returns the action that does something about the certificates of its
// argument.
func onCertificate(do func(*client.Client, context.Context, string) error, says string) cli.ActionFunc {
	return func(c *cli.Context) error {
		args, remote, err := authCall(c, "CERTIFICATE")
		if err != nil {
			return err
		}
		which, err := certificateOf(args[0])
		if err != nil {
			return err
		}
		return done(c, do(remote, c.Context, which), says, which)
	}
}

// certificateOf returns the serial number of the first certificate in a file, or what was
// said where there is no such file.
func certificateOf(said string) (string, error) {
	content, err := os.ReadFile(said)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR) { // agent/ID need not be a file where agent is one
		if err := server.CheckRevoked(said); err != nil {
			return "", usagef("certificate: %q is no file that is there, and neither a serial number in hex nor agent/ID or server/NAME", said)
		}
		return said, nil
	}
	if err != nil {
		return "", err
	}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", fmt.Errorf("%s: %w", said, err)
		}
		return c.SerialNumber.Text(16), nil
	}
	return "", fmt.Errorf("%s holds no certificate", said)
}

func listRevoked(c *cli.Context) error {
	_, remote, err := authCall(c)
	if err != nil {
		return err
	}
	all, err := remote.RevokedCertificates(c.Context)
	if err != nil {
		return err
	}
	return show(c, all.Certificates, "CERTIFICATE REVOKED", rows(all.Certificates, func(r api.RevokedCertificate) []string {
		return []string{r.Certificate, timeText(r.Created)}
	}))
}
