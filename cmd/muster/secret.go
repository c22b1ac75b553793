package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/musterhq/muster/client"
)

// tokenFlag says by what token a command is let in. The token itself is no flag: all
// who may list processes could read it.
func tokenFlag() cli.Flag {
	return &cli.StringFlag{Name: "token-file", EnvVars: []string{"MUSTER_TOKEN_FILE"},
		Usage: "`FILE` of the token to be let in by, of muster auth login or token add; the token itself may stand in MUSTER_TOKEN"}
}

// tokenOf returns what gives the token of a command, nil for none.
func tokenOf(c *cli.Context) func() (string, error) { return tokenIn(c.String("token-file")) }

// tokenIn returns what gives the token in a file, or in the environment where none is
// named; nil for none.
func tokenIn(path string) func() (string, error) {
	if path != "" {
		return client.TokenFile(path)
	}
	if token := os.Getenv("MUSTER_TOKEN"); token != "" {
		return func() (string, error) { return token, nil }
	}
	return nil
}

// A password has so many bytes. One that is too short is for the server to refuse.
const minSecret, maxSecret = 8, 1 << 10

// secretFrom reads a password: the first line of a file, or of the standard input
// where the file is - or none, without showing it on a terminal.
func secretFrom(c *cli.Context, path, prompt string) (string, error) {
	if path != "" && path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		return firstLine(f, path)
	}
	in, ok := c.App.Reader.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return firstLine(c.App.Reader, "the standard input")
	}
	fmt.Fprint(c.App.ErrWriter, prompt+": ")
	secret, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(c.App.ErrWriter)
	return string(secret), err
}

func firstLine(from io.Reader, name string) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(from, maxSecret+2)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" || len(line) > maxSecret {
		return "", fmt.Errorf("%s has no password in its first line, of %d to %d bytes", name, minSecret, maxSecret)
	}
	return line, nil
}
