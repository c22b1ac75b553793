package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
)

func authTSIGCommand() *cli.Command {
	return &cli.Command{Name: "tsig", Usage: "say what keys of DNS may that updates and transfers are signed with (TSIG)", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list the keys that have roles", Flags: remoteFlags(), Action: listTSIGs},
		{Name: "set", Usage: "say which roles a key has: all of them", ArgsUsage: "KEY",
			Description: "KEY is the name that the plugin tsig of the Corefile has a secret for; - is who signs with none.",
			Flags: remoteFlags(&cli.StringSliceFlag{Name: "role", Usage: "`ROLE` that says what it may, repeatable"},
				&cli.StringFlag{Name: "key-file", Usage: "draw a secret and write it to `FILE`, for its owner alone, as the Corefile (secrets FILE), nsupdate -k, BIND and dig -k read it"}), Action: setTSIG},
		{Name: "rm", Usage: "take all roles from a key", ArgsUsage: "KEY", Flags: remoteFlags(), Action: func(c *cli.Context) error {
			args, remote, err := authCall(c, "KEY")
			if err != nil {
				return err
			}
			return done(c, remote.DeleteTSIG(c.Context, args[0]), "removed %s", args[0])
		}},
	}}
}

func listTSIGs(c *cli.Context) error {
	_, remote, err := authCall(c)
	if err != nil {
		return err
	}
	all, err := remote.TSIGs(c.Context)
	if err != nil {
		return err
	}
	return show(c, all.Keys, "KEY ROLES CREATED", rows(all.Keys, func(k api.TSIG) []string {
		return []string{k.Name, listOrDash(k.Roles), timeText(k.Created)}
	}))
}

func setTSIG(c *cli.Context) error {
	args, remote, err := authCall(c, "KEY")
	if err != nil {
		return err
	}
	path := c.String("key-file")
	if path != "" {
		if args[0] == "-" {
			return usagef("key-file: who signs with no key has no secret")
		}
		if err := writeNew(path, keyFileOf(args[0])); err != nil {
			return err
		}
	}
	err = remote.PutTSIG(c.Context, args[0], api.TSIGSpec{Roles: append([]string{}, c.StringSlice("role")...)})
	if err != nil && path != "" {
		err = errors.Join(err, os.Remove(path))
	}
	return done(c, err, "set %s", args[0])
}

// writeNew writes a file that is not there yet, for its owner alone.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// secretSize is that of the hash of hmac-sha256: a longer secret would be no better.
const secretSize = 32

// keyFileOf returns a file with a secret for a key, as BIND's tsig-keygen writes them.
func keyFileOf(name string) []byte {
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // it never fails
	return fmt.Appendf(nil, "key \"%s\" {\n\talgorithm hmac-sha256;\n\tsecret \"%s\";\n};\n", strings.TrimSuffix(name, "."), base64.StdEncoding.EncodeToString(secret))
}
