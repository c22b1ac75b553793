package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// Result is what became of a call.
type Result string

// The results of a call.
const (
	Done    Result = "done"
	Refused Result = "refused" // who called may not, or did not say who calls
	Failed  Result = "failed"  // it was no good, or the server could not do it
)

// Change is what a call about many things did to one of them.
type Change string

// The changes.
const (
	Put    Change = "put" // made or changed
	Delete Change = "delete"
)

// Part is one thing that a call about many has changed.
type Part struct {
	Namespace, Group, Name, Item string
	Change                       Change
}

// of returns what is to be recorded of a part of a call.
func (p Part) of(call Event) Event {
	call.Result, call.Status, call.Why = Done, 0, ""
	call.Namespace, call.Group, call.Name, call.Item, call.Change = p.Namespace, p.Group, p.Name, p.Item, p.Change
	return call
}

// Operations of records that are the log's own. Their Why says more.
const (
	OpBegin  = "audit-begin"  // the log was opened; Name is the server's id
	OpEnd    = "audit-end"    // it was closed
	OpTorn   = "audit-torn"   // an unfinished record at its end was cut off
	OpLost   = "audit-lost"   // Times records could not be written
	OpGone   = "audit-gone"   // the file Item, to which records were written, was removed or replaced
	OpTrim   = "audit-trim"   // old records went: those before the one whose number Item is
	OpRepeat = "audit-repeat" // Times refused or failed calls were more than are recorded, of the network From where it says one, or of datagrams
)

// Event is what happened, without its place in the log.
type Event struct {
	At        time.Time `json:"at"`
	Op        string    `json:"op"`             // id of the operation, as the document of the API has it
	Kind      string    `json:"kind,omitempty"` // of who called: anonymous, user, agent, server
	Who       string    `json:"who,omitempty"`
	From      string    `json:"from,omitempty"` // address the connection came from
	Namespace string    `json:"namespace,omitempty"`
	Group     string    `json:"group,omitempty"`
	Name      string    `json:"name,omitempty"`   // of the service, document, agent, user …
	Item      string    `json:"item,omitempty"`   // what of it: an instance, a release …
	Change    Change    `json:"change,omitempty"` // to what it is about, in a record of a part
	Result    Result    `json:"result"`
	Status    int       `json:"status,omitempty"`   // of the answer
	Revision  int64     `json:"revision,omitempty"` // the write was committed at; 0 when nothing was
	DryRun    bool      `json:"dryRun,omitempty"`   // nothing was to be written
	Times     int       `json:"times,omitempty"`    // how often more the same happened since the record of it
	Why       string    `json:"why,omitempty"`      // it was refused
	Call      uint64    `json:"call,omitempty"`     // number of the record of the call that this is a part of

	// Unproved says that From is what a datagram says, of which its sender may write any.
	Unproved bool `json:"-"`
}

// Record is one entry of the log.
type Record struct {
	Seq uint64 `json:"seq"` // from 1, without gaps
	Event

	Prev string `json:"prev"`           // hash of the record before, in hex; none before the first
	Hash string `json:"hash,omitempty"` // SHA-256 of the line before this field, in hex
}

const (
	// maxText bounds each text of a record: who calls chooses most of them.
	maxText = 512
	// maxLine bounds a line: every text at its longest, escaped.
	maxLine = 64 << 10

	hashField  = `,"hash":"`
	hashLength = 2 * sha256.Size
	tail       = len(hashField) + hashLength + len(`"}`)
)

// What a line may be instead of a record.
var (
	errForm = errors.New("is no record")
	errHash = errors.New("is not what its hash says")
)

// bounded returns e with texts that are not longer than a record may hold.
func (e Event) bounded() Event {
	for _, s := range []*string{&e.Op, &e.Kind, &e.Who, &e.From, &e.Namespace, &e.Group, &e.Name, &e.Item, &e.Why} {
		if len(*s) > maxText {
			*s = strings.ToValidUTF8((*s)[:maxText], "") + "…"
		}
	}
	e.At = e.At.UTC().Truncate(time.Microsecond)
	return e
}

// appendLine appends the line of r to b and returns it with the hash of r.
func appendLine(b []byte, r Record) ([]byte, string) {
	r.Hash = ""
	text, err := json.Marshal(r)
	if err != nil { // of texts, numbers and a time whose year has four digits
		panic(err)
	}
	text = text[:len(text)-1]
	sum := sha256.Sum256(text)
	hash := hex.EncodeToString(sum[:])
	b = append(append(b, text...), hashField...)
	return append(append(b, hash...), "\"}\n"...), hash
}

// parse returns the record of a line without its end. With errHash the record is
// what the line says, though it was changed.
func parse(line []byte) (Record, error) {
	var r Record
	if len(line) <= tail || len(line) > maxLine || !utf8.Valid(line) {
		return r, errForm
	}
	text, end := line[:len(line)-tail], line[len(line)-tail:]
	if !bytes.HasPrefix(end, []byte(hashField)) || json.Unmarshal(line, &r) != nil || r.Seq == 0 {
		return r, errForm
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != string(end[len(hashField):len(hashField)+hashLength]) {
		return r, errHash
	}
	return r, nil
}

// Head names the last record of a log.
type Head struct {
	Seq  uint64
	Hash string // in hex
}

func (r Record) head() Head { return Head{r.Seq, r.Hash} }
