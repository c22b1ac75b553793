package config

import "time"

// Op is what a history record tells of.
type Op string

// The operations of a history record, in Nacos's letters.
const (
	OpInsert Op = "I"
	OpUpdate Op = "U"
	OpDelete Op = "D"
)

// History is one record of what was done to a document or to one of its gray
// releases; the records of both share one sequence.
type History struct {
	Key      Key   `json:"-"`
	Seq      int64 `json:"-"`
	Revision int64 `json:"-"` // it was committed at, 0: it has not been read from a store
	Op       Op    `json:"op"`
	// Release names the gray release that changed, empty: the document itself did.
	Release string `json:"release,omitempty"`
	Rule    *Rule  `json:"rule,omitempty"` // of that release
	// Priority is that of the release.
	Priority int `json:"priority,omitempty"`
	// Part names the part of an aggregate whose change this was.
	Part string `json:"part,omitempty"`
	// Head is the document as it was published, or as it was before it was deleted.
	Head Document `json:"head"`
	// Was is the digest of the content before, empty when there was none.
	Was  string    `json:"was,omitempty"`
	At   time.Time `json:"at"`
	User string    `json:"user,omitempty"`
	IP   string    `json:"ip,omitempty"`
	// From is the number of the record that a revert took the content from.
	From int64 `json:"from,omitempty"`
}
