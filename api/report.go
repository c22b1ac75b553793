package api

import "time"

// PathConfigReports takes what one agent did with documents, by PUT.
const PathConfigReports = "/v1/config-reports/{agent}"

// What an agent did with the content of a document.
const (
	ReportWritten  = "written"  // it is in place; what uses it has not taken it up yet
	ReportApplied  = "applied"  // what uses it has taken it up
	ReportRejected = "rejected" // it could not be written, failed its check, or was taken back
)

// ConfigReport says what became of one content of a document on one host.
type ConfigReport struct {
	Namespace string    `json:"namespace" doc:"Namespace of the document"`
	Group     string    `json:"group" doc:"Group of the document"`
	DataID    string    `json:"dataId" minLength:"1"`
	MD5       string    `json:"md5" doc:"Digest of the content"`
	Release   string    `json:"release,omitempty" doc:"Gray release that the content came from; absent when it is everybody's"`
	State     string    `json:"state" enum:"written,applied,rejected"`
	Detail    string    `json:"detail,omitempty" doc:"Why it was rejected, or is not applied yet; never content"`
	At        time.Time `json:"at" doc:"When that state began"`
}

// ConfigReports is the body of such a call. What was reported before of documents
// that it does not name still holds; the same report may come again.
type ConfigReports struct {
	Reports []ConfigReport `json:"reports" maxItems:"1000" nullable:"false"`
}

// MaxConfigReports is the most that one call may carry.
const MaxConfigReports = 1000
