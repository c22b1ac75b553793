package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/client"
)

// readerFlags say who reads, for gray releases.
func readerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "as", Usage: "read as the client `ID`"},
		&cli.StringFlag{Name: "as-tag", Usage: "read as a client with this `TAG`"},
		&cli.StringSliceFlag{Name: "as-label", Usage: "read as a client with this label `NAME=VALUE`, repeatable"},
	}
}

// readerOf returns who reads by the flags of a command that has them.
func readerOf(c *cli.Context) (client.Identity, error) {
	labels, err := labelsOf("as-label", c.StringSlice("as-label"))
	return client.Identity{ID: c.String("as"), Tag: c.String("as-tag"), Labels: labels}, err
}

// labelsOf reads labels as NAME=VALUE.
func labelsOf(flag string, all []string) (map[string]string, error) {
	if len(all) == 0 {
		return nil, nil
	}
	labels := map[string]string{}
	for _, one := range all {
		name, value, ok := strings.Cut(one, "=")
		if !ok || name == "" {
			return nil, usagef("%s: %q is not of the form NAME=VALUE", flag, one)
		}
		labels[name] = value
	}
	return labels, nil
}
