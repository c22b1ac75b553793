package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/config/vault"
	"github.com/musterhq/muster/internal/atomicfile"
	"github.com/musterhq/muster/server"
)

func authCommand() *cli.Command {
	return &cli.Command{Name: "auth", Usage: "log in; users, roles, tokens and keys", Subcommands: append([]*cli.Command{
		{Name: "login", Usage: "log in and keep the token in a file, or write it out", ArgsUsage: "[USER]",
			Description: "USER is admin where none is named. The password is read from a file, or from the standard input; with --oidc there is none. Where --token-file or MUSTER_TOKEN_FILE names a file, the token goes there, for its owner alone.",
			Flags:       remoteFlags(append(oidcFlags(), passwordFlag("password-file", "the password"))...), Action: logIn},
		{Name: "whoami", Usage: "show whom the servers take one for", Flags: remoteFlags(), Action: whoAmI},
		{Name: "password", Usage: "give oneself, or another user, another password", ArgsUsage: "USER",
			Description: "Who changes its own names the current one too. All sessions of the user end.",
			Flags:       remoteFlags(passwordFlag("current-file", "the current password"), passwordFlag("password-file", "the new password")), Action: setPassword},
		authUserCommand(), authRoleCommand(), authTokenCommand(), authTSIGCommand(), authCertificateCommand(), authKeyCommand(),
	}, rightsCommands()...)}
}

func passwordFlag(name, what string) cli.Flag {
	return &cli.StringFlag{Name: name, Usage: "`FILE` with " + what + " in its first line, - for the standard input"}
}

func logIn(c *cli.Context) error {
	args, err := names(c, "[USER]")
	if err != nil {
		return err
	}
	// An old token does not help, and the file is not there before the first login.
	remote, err := newClient(c, c.StringSlice("server"), client.Config{Token: func() (string, error) { return "", nil }})
	if err != nil {
		return err
	}
	session, err := newSession(c, remote, args[0])
	if err != nil {
		return err
	}
	path := c.String("token-file")
	if path == "" {
		return show(c, session, "", [][]string{{session.Token}})
	}
	if err := atomicfile.Write(path, []byte(session.Token+"\n"), atomicfile.Private); err != nil {
		return err
	}
	session.Token = ""
	return show(c, session, "", [][]string{{"user", session.User}, {"roles", listOrDash(session.Roles)}, {"expires", timeText(session.Expires)}, {"token in", path}})
}

// newSession logs in as a user, empty is admin, or elsewhere.
func newSession(c *cli.Context, remote *client.Client, user string) (api.Session, error) {
	if err := checkOIDCFlags(c); err != nil {
		return api.Session{}, err
	}
	if c.Bool("oidc") {
		if user != "" || c.IsSet("password-file") {
			return api.Session{}, usagef("--oidc takes neither USER nor --password-file: the provider says who it is")
		}
		return logInElsewhere(c, remote)
	}
	if user == "" {
		user = "admin"
	}
	password, err := secretFrom(c, c.String("password-file"), "password of "+user)
	if err != nil {
		return api.Session{}, err
	}
	return remote.Login(c.Context, user, password)
}

func timeText(t time.Time) string { return t.Local().Format(time.DateTime) }

func listOrDash(all []string) string { return orDash(strings.Join(all, ",")) }

func whoAmI(c *cli.Context) error {
	_, remote, err := authCall(c)
	if err != nil {
		return err
	}
	who, err := remote.WhoAmI(c.Context)
	if err != nil {
		return err
	}
	return show(c, who, "", [][]string{{"type", who.Type}, {"name", orDash(who.Name)}, {"roles", listOrDash(who.Roles)}})
}

// authCall returns the names and the client of a command.
func authCall(c *cli.Context, want ...string) ([]string, *client.Client, error) {
	args, err := names(c, want...)
	if err != nil {
		return nil, nil, err
	}
	remote, err := dial(c)
	return args, remote, err
}

// done tells in one line what a command did.
func done(c *cli.Context, err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.App.Writer, format+"\n", args...)
	return err
}

func setPassword(c *cli.Context) error {
	args, remote, err := authCall(c, "USER")
	if err != nil {
		return err
	}
	var current string
	if path := c.String("current-file"); path != "" {
		if current, err = secretFrom(c, path, "current password of "+args[0]); err != nil {
			return err
		}
	}
	password, err := secretFrom(c, c.String("password-file"), "new password of "+args[0])
	if err != nil {
		return err
	}
	return done(c, remote.SetPassword(c.Context, args[0], current, password), "changed the password of %s", args[0])
}

func authUserCommand() *cli.Command {
	roles := func() cli.Flag {
		return &cli.StringSliceFlag{Name: "role", Usage: "`ROLE` that the user has, repeatable: all of them"}
	}
	return &cli.Command{Name: "user", Usage: "list, add, change and remove users", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list users", Flags: remoteFlags(), Action: listUsers},
		{Name: "add", Usage: "add a user", ArgsUsage: "USER", Flags: remoteFlags(roles(), passwordFlag("password-file", "the password")), Action: createUser},
		{Name: "set", Usage: "say which roles a user has", ArgsUsage: "USER", Flags: remoteFlags(roles()), Action: setUser},
		{Name: "rm", Usage: "remove a user and end its sessions", ArgsUsage: "USER", Flags: remoteFlags(), Action: func(c *cli.Context) error {
			args, remote, err := authCall(c, "USER")
			if err != nil {
				return err
			}
			return done(c, remote.DeleteUser(c.Context, args[0]), "removed %s", args[0])
		}},
		{Name: "sign-out", Usage: "end all sessions of a user", ArgsUsage: "USER", Flags: remoteFlags(), Action: func(c *cli.Context) error {
			args, remote, err := authCall(c, "USER")
			if err != nil {
				return err
			}
			return done(c, remote.SignOut(c.Context, args[0]), "ended the sessions of %s", args[0])
		}},
	}}
}

func listUsers(c *cli.Context) error {
	_, remote, err := authCall(c)
	if err != nil {
		return err
	}
	all, err := remote.Users(c.Context)
	if err != nil {
		return err
	}
	return show(c, all.Users, "USER ROLES CREATED NAME", rows(all.Users, func(u api.User) []string {
		return []string{u.Name, listOrDash(u.Roles), timeText(u.Created), orDash(u.Display)}
	}))
}

func createUser(c *cli.Context) error {
	args, remote, err := authCall(c, "USER")
	if err != nil {
		return err
	}
	password, err := secretFrom(c, c.String("password-file"), "password of "+args[0])
	if err != nil {
		return err
	}
	err = remote.PutUser(c.Context, args[0], api.UserSpec{Password: password, Roles: c.StringSlice("role")}, client.Terms{CreateOnly: true})
	return done(c, err, "added %s", args[0])
}

func setUser(c *cli.Context) error {
	args, remote, err := authCall(c, "USER")
	if err != nil {
		return err
	}
	if !c.IsSet("role") {
		return usagef("nothing to set: --role is missing")
	}
	return done(c, remote.PutUser(c.Context, args[0], api.UserSpec{Roles: append([]string{}, c.StringSlice("role")...)}), "changed %s", args[0])
}

func authRoleCommand() *cli.Command {
	return &cli.Command{Name: "role", Usage: "list, set and remove roles", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list roles and their rules; admin and reader are built in", Flags: remoteFlags(), Action: listRoles},
		{Name: "set", Usage: "say what a role allows: all of it", ArgsUsage: "ROLE",
			Description: "A rule is VERBS KIND NAMESPACE/GROUP, such as 'rw naming dev/*': verbs r, w or rw; kind naming, config, dns, admin, or * for the first three; names exact, or a beginning and *. What a rule denies is denied, whatever others allow.",
			Flags: remoteFlags(&cli.StringSliceFlag{Name: "allow", Usage: "`RULE` of what is allowed, repeatable"},
				&cli.StringSliceFlag{Name: "deny", Usage: "`RULE` of what is denied, repeatable"}), Action: setRole},
		{Name: "rm", Usage: "remove a role that nobody has", ArgsUsage: "ROLE", Flags: remoteFlags(), Action: func(c *cli.Context) error {
			args, remote, err := authCall(c, "ROLE")
			if err != nil {
				return err
			}
			return done(c, remote.DeleteRole(c.Context, args[0]), "removed %s", args[0])
		}},
	}}
}

func listRoles(c *cli.Context) error {
	_, remote, err := authCall(c)
	if err != nil {
		return err
	}
	all, err := remote.Roles(c.Context)
	if err != nil {
		return err
	}
	var lines [][]string
	for _, role := range all.Roles {
		for _, r := range role.Rules {
			word := "allow"
			if r.Deny {
				word = "deny"
			}
			lines = append(lines, []string{role.Name, word, r.Verbs, r.Kind, r.Namespace + "/" + r.Group})
		}
		if len(role.Rules) == 0 {
			lines = append(lines, []string{role.Name, "-", "-", "-", "-"})
		}
	}
	return show(c, all.Roles, "ROLE RULE VERBS KIND NAMESPACE/GROUP", lines)
}

func setRole(c *cli.Context) error {
	args, remote, err := authCall(c, "ROLE")
	if err != nil {
		return err
	}
	rules := []api.AccessRule{}
	for _, flag := range []string{"allow", "deny"} {
		for _, text := range c.StringSlice(flag) {
			rule, err := parseRule(text)
			if err != nil {
				return err
			}
			rule.Deny = flag == "deny"
			rules = append(rules, rule)
		}
	}
	return done(c, remote.PutRole(c.Context, args[0], api.RoleSpec{Rules: rules}), "set %s", args[0])
}

// parseRule reads VERBS KIND NAMESPACE/GROUP.
func parseRule(text string) (api.AccessRule, error) {
	words := strings.Fields(text)
	if len(words) != 3 {
		return api.AccessRule{}, usagef("rule %q is not of the form VERBS KIND NAMESPACE/GROUP", text)
	}
	namespace, group, found := strings.Cut(words[2], "/")
	if !found {
		group = "*"
	}
	if strings.Contains(group, "/") {
		return api.AccessRule{}, usagef("rule %q is not of the form VERBS KIND NAMESPACE/GROUP: a group has no slash", text)
	}
	rule := api.AccessRule{Verbs: words[0], Kind: words[1], Namespace: namespace, Group: group}
	if err := server.CheckRule(rule); err != nil {
		return rule, usagef("rule %q: %w", text, err)
	}
	return rule, nil
}

func authTokenCommand() *cli.Command {
	return &cli.Command{Name: "token", Usage: "list, add and revoke the tokens of agents", Subcommands: []*cli.Command{
		{Name: "list", Usage: "list tokens, which are not shown themselves", Flags: remoteFlags(), Action: listTokens},
		{Name: "add", Usage: "make a token for an agent, and show it this once", ArgsUsage: "AGENT",
			Description: "AGENT is the id of the agent that the token is for, or * for any. An agent may have several: to replace the one in a file, add another in a new FILE, move that over the old one, and revoke the old token (list shows its ID, rm takes it).",
			Flags: remoteFlags(&cli.StringSliceFlag{Name: "role", Usage: "`ROLE` that says what it may, repeatable"},
				&cli.DurationFlag{Name: "life", Usage: "how long it lives", DefaultText: "forever"},
				&cli.StringFlag{Name: "to", Usage: "new `FILE` that the token goes to, for its owner alone, in place of the output"}), Action: addToken},
		{Name: "rm", Usage: "revoke a token", ArgsUsage: "ID", Flags: remoteFlags(), Action: func(c *cli.Context) error {
			args, remote, err := authCall(c, "ID")
			if err != nil {
				return err
			}
			return done(c, remote.RevokeToken(c.Context, args[0]), "revoked %s", args[0])
		}},
	}}
}

func listTokens(c *cli.Context) error {
	_, remote, err := authCall(c)
	if err != nil {
		return err
	}
	all, err := remote.Tokens(c.Context)
	if err != nil {
		return err
	}
	return show(c, all.Tokens, "ID AGENT ROLES CREATED EXPIRES", rows(all.Tokens, func(t api.Token) []string {
		return []string{t.ID, t.Subject, listOrDash(t.Roles), timeText(t.Created), endText(t.Expires)}
	}))
}

func endText(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return timeText(*t)
}

func addToken(c *cli.Context) error {
	args, remote, err := authCall(c, "AGENT")
	if err != nil {
		return err
	}
	life := c.Duration("life")
	if life < 0 || life%time.Second != 0 {
		return usagef("life: %v is not a number of seconds above 0", life)
	}
	path := c.String("to")
	if _, err := os.Lstat(path); path != "" && err == nil { // the token in it would go on, and nobody have it
		return fmt.Errorf("%s is there already, and is not replaced", path)
	}
	t, err := remote.AddToken(c.Context, api.TokenSpec{Subject: args[0], Roles: c.StringSlice("role"), Seconds: int64(life / time.Second)})
	if err != nil {
		return err
	}
	if path == "" {
		return show(c, t, "", [][]string{{"id", t.ID}, {"agent", t.Subject}, {"expires", endText(t.Expires)}, {"token", t.Token}})
	}
	if err := writeNew(path, []byte(t.Token+"\n")); err != nil {
		return fmt.Errorf("the token %s is lost, revoke it: %w", t.ID, err)
	}
	t.Token = ""
	return show(c, t, "", [][]string{{"id", t.ID}, {"agent", t.Subject}, {"expires", endText(t.Expires)}, {"token in", path}})
}

func authKeyCommand() *cli.Command {
	return &cli.Command{Name: "key", Usage: "the keys that sessions are signed with, and the file that guards them", Subcommands: []*cli.Command{
		{Name: "init", Usage: "write a new key file for servers that start as a cluster, for its owner alone", ArgsUsage: "FILE", Action: keyAction("new key", vault.Generate)},
		{Name: "list", Usage: "list the signing keys", Flags: remoteFlags(), Action: listKeys},
		{Name: "rotate", Usage: "make a new signing key; what the others signed is taken until it expires",
			Flags: remoteFlags(&cli.BoolFlag{Name: "now", Usage: "end the others at once: everybody has to log in again"}), Action: rotateKeys},
	}}
}

func listKeys(c *cli.Context) error {
	_, remote, err := authCall(c)
	if err != nil {
		return err
	}
	all, err := remote.Keys(c.Context)
	if err != nil {
		return err
	}
	return show(c, all.Keys, "KEY CREATED SIGNS-FROM TAKEN-UNTIL", rows(all.Keys, func(k api.SigningKey) []string {
		return []string{k.ID, timeText(k.Created), timeText(k.Begins), endText(k.Ends)}
	}))
}

func rotateKeys(c *cli.Context) error {
	_, remote, err := authCall(c)
	if err != nil {
		return err
	}
	key, err := remote.RotateKeys(c.Context, c.Bool("now"))
	if err != nil {
		return err
	}
	return show(c, key, "", [][]string{{"key", key.ID}, {"signs from", timeText(key.Begins)}})
}
