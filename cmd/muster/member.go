package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/etcdstore/embedded"
)

func memberCommand() *cli.Command {
	return &cli.Command{Name: "member", Usage: "work with the members of an embedded etcd cluster", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list the members", Flags: remoteFlags(), Action: listMembers},
		{Name: "add", Usage: "make room for one more server: its NAME and the HOST:PORT it will listen on for its peers", ArgsUsage: "NAME HOST:PORT",
			Flags: remoteFlags(), Action: addMember},
		{Name: "remove", Usage: "take a member out, by its name, id or address", ArgsUsage: "MEMBER",
			Flags: remoteFlags(&cli.BoolFlag{Name: "force", Usage: "also when those left could not agree on anything"}), Action: removeMember},
	}}
}

func listMembers(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	list, err := remote.Members(c.Context)
	if err != nil {
		return err
	}
	return show(c, list, "ID NAME PEERS ROLE", rows(list.Members, func(m api.Member) []string {
		return []string{m.ID, m.Name, strings.Join(m.Peers, ","), role(m)}
	}))
}

func role(m api.Member) string {
	switch {
	case m.Name == "":
		return "not started"
	case !m.Healthy:
		return "not reachable"
	case m.Learner:
		return "learner"
	case m.Leader:
		return "leader"
	}
	return "follower"
}

func addMember(c *cli.Context) error {
	args, err := names(c, "NAME", "HOST:PORT")
	if err != nil {
		return err
	}
	if err := embedded.CheckMember(args[0], args[1]); err != nil {
		return usageError{err}
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	added, err := remote.AddMember(c.Context, api.MemberSpec{Name: args[0], Peer: args[1]})
	if err != nil {
		return err
	}
	return show(c, added, "", [][]string{ // a row for each line: in a cell the end of one is escaped
		{fmt.Sprintf("%s may join now; start its server on an empty data directory with", args[0])},
		{fmt.Sprintf("  --name %s --peer %s --join --initial-cluster %s", args[0], args[1], added.InitialCluster)}})
}

func removeMember(c *cli.Context) error {
	args, err := names(c, "MEMBER")
	if err != nil {
		return err
	}
	remote, err := dial(c)
	if err != nil {
		return err
	}
	if err := remote.RemoveMember(c.Context, args[0], c.Bool("force")); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, "removed %s\n", args[0])
	return err
}
