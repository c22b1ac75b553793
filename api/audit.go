package api

import "time"

// Paths of the audit log.
const (
	PathAudit       = "/v1/audit"
	PathAuditVerify = "/v1/audit-verify"
)

// AuditRecord is one record of a server's audit log.
type AuditRecord struct {
	Seq       uint64    `json:"seq" doc:"Its number, from 1 without gaps"`
	At        time.Time `json:"at"`
	Op        string    `json:"op" doc:"The operation, by its operationId; of a call that reached none its method"`
	Kind      string    `json:"kind,omitempty" doc:"Of who called: anonymous, user, agent, server, or key of DNS"`
	Who       string    `json:"who,omitempty"`
	From      string    `json:"from,omitempty" doc:"Address that the connection came from"`
	Namespace string    `json:"namespace,omitempty"`
	Group     string    `json:"group,omitempty"`
	Name      string    `json:"name,omitempty" doc:"Of the service, document, agent and so on"`
	Item      string    `json:"item,omitempty" doc:"What of it: an instance, a release and so on"`
	Change    string    `json:"change,omitempty" enum:"put,delete" doc:"What was done to it, in the record of a part"`
	Result    string    `json:"result" enum:"done,refused,failed"`
	Status    int       `json:"status,omitempty" doc:"Of the answer; of an answer of DNS its code, 0 for none"`
	Revision  int64     `json:"revision,omitempty" doc:"The write was committed at"`
	DryRun    bool      `json:"dryRun,omitempty" doc:"Nothing was to be written"`
	Times     int       `json:"times,omitempty" doc:"How often more the same came to nothing since the record of it"`
	Why       string    `json:"why,omitempty" doc:"Reason of a refusal, or of a record of the log's own"`
	Call      uint64    `json:"call,omitempty" doc:"Number of the record of the call that this is a part of"`
	Prev      string    `json:"prev" doc:"Hash of the record before, in hex"`
	Hash      string    `json:"hash" doc:"SHA-256 of the line up to this field, in hex"`
}

// AuditPage is one page of records, the newest first.
type AuditPage struct {
	Records []AuditRecord `json:"records"`
	Unsound int           `json:"unsound" doc:"Lines among those looked at that are no sound records"`
	Next    uint64        `json:"next,omitempty" doc:"before of the next page; absent on the last one"`
}

// AuditFinding is one thing that is wrong with an audit log.
type AuditFinding struct {
	Kind string `json:"kind" enum:"changed,missing,moved,unlinked,unreadable,unfinished,cut,replaced"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty" doc:"Of the file, from 1; absent: its end"`
	Seq  uint64 `json:"seq,omitempty" doc:"Number of the record, of the first one that is missing"`
	Text string `json:"text"`
}

// AuditReport is what became of a look at an audit log.
type AuditReport struct {
	Sound    bool           `json:"sound" doc:"Nothing is wrong"`
	Files    int            `json:"files"`
	Records  int            `json:"records"`
	First    uint64         `json:"first" doc:"Number of the first record"`
	Head     AuditHead      `json:"head"`
	Findings []AuditFinding `json:"findings"`
	More     int            `json:"more,omitempty" doc:"Findings that are left out"`
}
