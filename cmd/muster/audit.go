package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/audit"
	"github.com/musterhq/muster/client"
	"github.com/musterhq/muster/server"
)

func auditCommand() *cli.Command {
	return &cli.Command{Name: "audit", Usage: "see who changed what, and whether the record of it was tampered with",
		Subcommands: []*cli.Command{
			{Name: "list", Usage: "list what was changed, tried and refused at a server, the newest first", Action: listAudit,
				Description: "It asks a server for its log, or reads the files below the data directory of one.",
				Flags: remoteFlags(auditDirFlag(),
					&cli.StringFlag{Name: "since", Usage: "only what happened from `TIME` on, such as 2026-03-01T12:00:00Z, or so long ago, such as 2h"},
					&cli.StringFlag{Name: "until", Usage: "only what happened before `TIME`, or so long ago"},
					&cli.StringFlag{Name: "op", Usage: "only `OPERATION`: an id of /openapi.json, nacosGRPC and the name of a request over gRPC without Request, dns-update, dns-transfer, the method of a call that is none of these, or of the log itself audit-begin, audit-end, audit-torn, audit-lost, audit-gone, audit-trim and audit-repeat"},
					&cli.StringFlag{Name: "who", Usage: "only of the user, agent or server `NAME`"},
					&cli.StringFlag{Name: "from", Usage: "only from `ADDRESS`"},
					&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Usage: "only of the namespace `NAME`"},
					&cli.StringFlag{Name: "group", Aliases: []string{"g"}, Usage: "only of the group `NAME`"},
					&cli.StringFlag{Name: "name", Usage: "only of the service, document and so on `NAME`"},
					&cli.Uint64Flag{Name: "call", Usage: "only the record `SEQ` of a call, and those of all that it changed"},
					&cli.StringFlag{Name: "result", Usage: "only with `RESULT`: done, refused or failed"},
					&cli.IntFlag{Name: "limit", Value: 100, Usage: "at most `N` records; 0: all"})},
			{Name: "verify", Usage: "find records that were changed, removed or swapped", Action: verifyAudit,
				Description: "It has a server look at its log, or reads the files below the data directory of one.",
				Flags: remoteFlags(auditDirFlag(),
					&cli.BoolFlag{Name: "published", Usage: "of --data-dir: hold the files against the head that the server publishes"},
					&cli.StringFlag{Name: "head", Usage: "a record that must be there, `SEQ` or SEQ:HASH, as the status and muster_audit_head publish the last one"})},
		}}
}

func auditDirFlag() cli.Flag {
	return &cli.StringFlag{Name: "data-dir", Usage: "read the files below the data `DIRECTORY` of a server"}
}

// auditQueryOf reads the flags of a query.
func auditQueryOf(c *cli.Context) (q client.AuditQuery, err error) {
	q = client.AuditQuery{Op: c.String("op"), Who: c.String("who"), From: c.String("from"), Namespace: c.String("namespace"),
		Group: c.String("group"), Name: c.String("name"), Call: c.Uint64("call"), Result: c.String("result")}
	if q.Result != "" && !slices.Contains([]string{"done", "refused", "failed"}, q.Result) {
		return q, usagef("result: %q is not one of done, refused, failed", q.Result)
	}
	if c.Int("limit") < 0 {
		return q, usagef("limit: %d is below 0", c.Int("limit"))
	}
	for name, to := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if *to, err = timeOf(c.String(name), time.Now()); err != nil {
			return q, usagef("%s: %w", name, err)
		}
	}
	return q, nil
}

// timeOf reads a time, or how long before now it was; the zero time for no text.
func timeOf(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%q is neither a time such as 2026-03-01T12:00:00Z nor a duration such as 2h", text)
	}
	return at, nil
}

func listAudit(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	q, err := auditQueryOf(c)
	if err != nil {
		return err
	}
	var page api.AuditPage
	if dir := c.String("data-dir"); dir != "" {
		page, err = auditOfFiles(dir, q, c.Int("limit"))
	} else {
		page, err = auditOfServer(c, q, c.Int("limit"))
	}
	if err != nil {
		return err
	}
	if page.Unsound > 0 {
		remark(c, "%d lines are no sound records: muster audit verify says which", page.Unsound)
	}
	return show(c, page.Records, "SEQ AT OP RESULT STATUS BY FROM WHAT REVISION NOTE", rows(page.Records, auditRow))
}

func auditOfFiles(dir string, q client.AuditQuery, limit int) (api.AuditPage, error) {
	found, err := audit.Find(filepath.Join(dir, audit.Dir), audit.Query{Since: q.Since, Until: q.Until, Op: q.Op, Who: q.Who, From: q.From,
		Namespace: q.Namespace, Group: q.Group, Name: q.Name, Result: audit.Result(q.Result), Call: q.Call, Limit: limit})
	page := api.AuditPage{Unsound: found.Unsound, Records: make([]api.AuditRecord, 0, len(found.Records))}
	for _, r := range found.Records {
		page.Records = append(page.Records, server.AuditRecordOf(r))
	}
	return page, err
}

// auditOfServer asks one server for as many pages as are needed.
func auditOfServer(c *cli.Context, q client.AuditQuery, limit int) (api.AuditPage, error) {
	remote, err := dial(c)
	if err != nil {
		return api.AuditPage{}, err
	}
	all := api.AuditPage{Records: []api.AuditRecord{}}
	for {
		q.Size = pageSize
		if limit > 0 {
			q.Size = min(q.Size, limit-len(all.Records))
		}
		page, err := remote.Audit(c.Context, q)
		if err != nil {
			return all, err
		}
		all.Records, all.Unsound = append(all.Records, page.Records...), max(all.Unsound, page.Unsound)
		if q.Before != 0 && page.Next >= q.Before {
			return all, fmt.Errorf("the server says that records before %d go on before %d", q.Before, page.Next)
		}
		if q.Before = page.Next; q.Before == 0 || limit > 0 && len(all.Records) >= limit {
			return all, nil
		}
	}
}

func auditRow(r api.AuditRecord) []string {
	what := strings.Trim(strings.Join([]string{r.Namespace, r.Group, r.Name}, "/"), "/")
	if r.Item != "" {
		what = strings.TrimSpace(what + " " + r.Item)
	}
	by := r.Kind
	if r.Who != "" {
		by += ":" + r.Who
	}
	note := r.Why
	if r.DryRun {
		note = "dry run"
	}
	if r.Call > 0 {
		note = fmt.Sprintf("%s, part of %d", r.Change, r.Call)
	}
	if r.Times > 0 {
		note = strings.TrimSpace(fmt.Sprintf("%d times more %s", r.Times, note))
	}
	return []string{strconv.FormatUint(r.Seq, 10), r.At.Format(time.RFC3339), r.Op, r.Result, orDash(zeroAsEmpty(int64(r.Status))), orDash(by), orDash(r.From),
		orDash(what), orDash(zeroAsEmpty(r.Revision)), note}
}

func zeroAsEmpty(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// auditHeadOf reads SEQ or SEQ:HASH.
func auditHeadOf(text string) (api.AuditHead, error) {
	digits, hash, _ := strings.Cut(text, ":")
	seq, err := strconv.ParseUint(digits, 10, 64)
	if text != "" && (err != nil || seq == 0) {
		return api.AuditHead{}, usagef("head: %q is neither the number of a record nor SEQ:HASH", text)
	}
	return api.AuditHead{Seq: seq, Hash: hash}, nil
}

func verifyAudit(c *cli.Context) error {
	if _, err := names(c); err != nil {
		return err
	}
	known, err := auditHeadOf(c.String("head"))
	if err != nil {
		return err
	}
	var report api.AuditReport
	if dir := c.String("data-dir"); dir != "" {
		report, err = verifyFiles(c, dir, known)
	} else {
		report, err = verifyAtServer(c, known)
	}
	if err != nil {
		return err
	}
	if err := show(c, report, "", reportRows(report)); err != nil || report.Sound {
		return err
	}
	return errors.New("the audit log is not what was written")
}

func verifyAtServer(c *cli.Context, known api.AuditHead) (api.AuditReport, error) {
	remote, err := dial(c)
	if err != nil {
		return api.AuditReport{}, err
	}
	return remote.VerifyAudit(c.Context, known)
}

func verifyFiles(c *cli.Context, dir string, known api.AuditHead) (api.AuditReport, error) {
	var heads []audit.Head
	if known.Seq > 0 {
		heads = append(heads, audit.Head{Seq: known.Seq, Hash: known.Hash})
	}
	if c.Bool("published") {
		remote, err := dial(c)
		if err != nil {
			return api.AuditReport{}, err
		}
		s, err := remote.Status(c.Context)
		if err != nil {
			return api.AuditReport{}, err
		}
		heads = append(heads, audit.Head{Seq: s.Audit.Seq, Hash: s.Audit.Hash})
	}
	report, err := audit.Verify(filepath.Join(dir, audit.Dir), heads...)
	return server.AuditReportOf(report), err
}

func reportRows(r api.AuditReport) [][]string {
	if r.Sound {
		return [][]string{{fmt.Sprintf("sound: %d records, %d to %d, in %d files", r.Records, r.First, r.Head.Seq, r.Files)}, {fmt.Sprintf("head %d:%s", r.Head.Seq, r.Head.Hash)}}
	}
	all := rows(r.Findings, func(f api.AuditFinding) []string {
		at := cmp.Or(f.File, "the log")
		if f.Line > 0 {
			at += ":" + strconv.Itoa(f.Line)
		}
		return []string{at, f.Kind, f.Text}
	})
	if r.More > 0 {
		all = append(all, []string{"", "", fmt.Sprintf("and %d findings more", r.More)})
	}
	return all
}
