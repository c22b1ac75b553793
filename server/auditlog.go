package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/audit"
)

func (f *face) mountAudit(a huma.API) {
	tags := []string{"audit"}
	register(a, access.Reads(access.Admin, ""), huma.Operation{OperationID: "list-audit", Method: http.MethodGet, Path: api.PathAudit,
		Summary: "List who changed what at this server, the newest first", Tags: tags}, f.listAudit)
	register(a, access.Reads(access.Admin, ""), huma.Operation{OperationID: "verify-audit", Method: http.MethodGet, Path: api.PathAuditVerify,
		Summary: "Look whether the audit log of this server is what it wrote", Tags: tags}, f.verifyAudit)
}

type auditQuery struct {
	Since     time.Time `query:"since" doc:"Only records of this time and later"`
	Until     time.Time `query:"until" doc:"Only records before this time"`
	Op        string    `query:"op" doc:"Only this operation"`
	Who       string    `query:"who" doc:"Only of this user, agent or server"`
	From      string    `query:"from" doc:"Only from this address"`
	Namespace string    `query:"namespace" doc:"Only of this namespace"`
	Group     string    `query:"group" doc:"Only of this group"`
	Name      string    `query:"name" doc:"Only of this service, document and so on"`
	Result    string    `query:"result" enum:"done,refused,failed" doc:"Only with this result"`
	Call      uint64    `query:"call" doc:"Only the record of this number, of a call, and those of its parts"`
	Before    uint64    `query:"before" doc:"Only records with a lower number; next of the page before"`
	Size      int       `query:"size" minimum:"1" maximum:"1000" default:"100" doc:"Records on a page"`
}

type auditAnswer struct{ Body api.AuditPage }

func (f *face) listAudit(ctx context.Context, q *auditQuery) (*auditAnswer, error) {
	leave, err := f.enterAudit(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	page, err := f.server.audit.Find(audit.Query{Since: q.Since, Until: q.Until, Op: q.Op, Who: q.Who, From: q.From,
		Namespace: q.Namespace, Group: q.Group, Name: q.Name, Result: audit.Result(q.Result), Call: q.Call, Before: q.Before, Limit: q.Size})
	if err != nil {
		return nil, f.failure(err)
	}
	out := api.AuditPage{Records: make([]api.AuditRecord, 0, len(page.Records)), Unsound: page.Unsound}
	for _, r := range page.Records {
		out.Records = append(out.Records, AuditRecordOf(r))
	}
	if n := len(page.Records); n == q.Size {
		out.Next = page.Records[n-1].Seq
	}
	return &auditAnswer{out}, nil
}

// enterAudit lets in who may see the log, one after the other: files of it are large.
func (f *face) enterAudit(ctx context.Context) (leave func(), err error) {
	if err := f.operatorOnly(ctx, false); err != nil {
		return nil, err
	}
	select {
	case f.server.auditing <- struct{}{}:
		return func() { <-f.server.auditing }, nil
	case <-ctx.Done():
		return nil, huma.Error503ServiceUnavailable("others look at the audit log, please try again later")
	}
}

// AuditRecordOf returns a record as the API shows it.
func AuditRecordOf(r audit.Record) api.AuditRecord {
	return api.AuditRecord{Seq: r.Seq, At: r.At, Op: r.Op, Kind: r.Kind, Who: r.Who, From: r.From, Namespace: r.Namespace, Group: r.Group,
		Name: r.Name, Item: r.Item, Change: string(r.Change), Call: r.Call, Result: string(r.Result), Status: r.Status, Revision: r.Revision, DryRun: r.DryRun, Times: r.Times, Why: r.Why, Prev: r.Prev, Hash: r.Hash}
}

type auditKnown struct {
	Seq  uint64 `query:"seq" doc:"Number of a record that is known from elsewhere, such as from metrics"`
	Hash string `query:"hash" doc:"Its hash, when it is known, too"`
}

type auditReport struct{ Body api.AuditReport }

func (f *face) verifyAudit(ctx context.Context, q *auditKnown) (*auditReport, error) {
	leave, err := f.enterAudit(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var known []audit.Head
	if q.Seq > 0 {
		known = append(known, audit.Head{Seq: q.Seq, Hash: q.Hash})
	}
	report, err := f.server.audit.Verify(known...)
	if err != nil {
		return nil, f.failure(err)
	}
	return &auditReport{AuditReportOf(report)}, nil
}

// AuditReportOf returns a report as the API shows it.
func AuditReportOf(r audit.Report) api.AuditReport {
	out := api.AuditReport{Sound: r.OK(), Files: r.Files, Records: r.Records, First: r.First, Head: api.AuditHead{Seq: r.Head.Seq, Hash: r.Head.Hash},
		Findings: make([]api.AuditFinding, 0, len(r.Findings)), More: r.More}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, api.AuditFinding(f))
	}
	return out
}
