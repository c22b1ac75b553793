package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/musterhq/muster/api"
)

// AuditQuery says which records of an audit log are asked for; what is empty admits
// all.
type AuditQuery struct {
	Since, Until time.Time // the first is within, the second is not
	Op, Result   string
	Who, From    string
	Namespace    string
	Group, Name  string
	Call         uint64 // only the record of this number, of a call, and those of its parts
	Before       uint64 // only records with a lower number
	Size         int    // of the page; 0: as the server has it
}

// Audit returns one page of the records of the server that answers, the newest first.
func (c *Client) Audit(ctx context.Context, q AuditQuery) (api.AuditPage, error) {
	query := url.Values{}
	for name, value := range map[string]string{"op": q.Op, "result": q.Result, "who": q.Who, "from": q.From, "namespace": q.Namespace, "group": q.Group, "name": q.Name} {
		set(query, name, value)
	}
	for name, at := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !at.IsZero() {
			query.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	setInt(query, "call", int(q.Call))
	setInt(query, "before", int(q.Before))
	setInt(query, "size", q.Size)
	return exchange[api.AuditPage](ctx, c, call{method: http.MethodGet, path: api.PathAudit, query: query}, nil)
}

// VerifyAudit has the server that answers look whether its audit log is what it wrote.
// known is a record that is known from elsewhere, if its number is not 0; its hash may
// be empty.
func (c *Client) VerifyAudit(ctx context.Context, known api.AuditHead) (api.AuditReport, error) {
	query := url.Values{}
	if known.Seq > 0 {
		query.Set("seq", strconv.FormatUint(known.Seq, 10))
		set(query, "hash", known.Hash)
	}
	return exchange[api.AuditReport](ctx, c, call{method: http.MethodGet, path: api.PathAuditVerify, query: query}, nil)
}
