package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
)

func clientsCommand() *cli.Command {
	return &cli.Command{Name: "clients", Usage: "list clients of Nacos that are connected over gRPC, those that lag most first", Flags: append(remoteFlags(),
		&cli.StringFlag{Name: "search", Usage: "only those in whose version, address, namespace or id `TEXT` is"},
		&cli.IntFlag{Name: "limit", Value: 1000, Usage: "list `N` at most, up to 10000"}), Action: clients}
}

func clients(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	list, err := remote.Clients(c.Context, c.String("search"), c.Int("limit"))
	if err != nil {
		return err
	}
	all, err := remote.ServerStates(c.Context)
	if err != nil {
		return err
	}
	called := map[string]string{}
	for _, v := range all.Servers {
		called[v.ID] = nameOfServer(v)
	}
	now := time.Now()
	if err := show(c, list, "CLIENT VERSION SERVER NAMESPACE SUBSCRIPTIONS SERVICES LISTENERS PUSHES WAITING LATE LAG ACKNOWLEDGED CONNECTED",
		rows(list.Clients, func(v api.Client) []string { return clientRow(v, called[v.Server], now) })); err != nil || c.String("output") != "table" {
		return err
	}
	if len(list.Clients) < list.Total {
		fmt.Fprintf(c.App.Writer, "%d of %d\n", len(list.Clients), list.Total)
	}
	if len(list.Unreachable) > 0 {
		remark(c, "without those of servers that do not answer: %s", strings.Join(list.Unreachable, " "))
	}
	return nil
}

// clientRow is one line of the list of clients.
func clientRow(v api.Client, server string, now time.Time) []string {
	acknowledged, lag := "-", "-"
	if v.LastAck != nil {
		acknowledged = ago(now, *v.LastAck)
	}
	if v.LastAck != nil || v.Waiting > 0 {
		lag = strconv.FormatFloat(v.LagMs, 'f', 1, 64) + "ms"
	}
	n := strconv.Itoa
	return []string{v.Address, or(v.Version), or(server), or(v.Namespace), n(v.Subscriptions), n(v.Services), n(v.Listeners), n(v.Pushes), n(v.Waiting), n(v.Unacknowledged),
		lag, acknowledged, ago(now, v.Since)}
}

// or returns a text, or what stands for none in a table.
func or(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// ago is for how long something has been, by the clock of this host.
func ago(now, then time.Time) string { return max(0, now.Sub(then)).Truncate(time.Second).String() }
