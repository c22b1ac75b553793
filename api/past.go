package api

import "time"

// What a history record tells of.
const (
	OpInsert = "insert"
	OpUpdate = "update"
	OpDelete = "delete"
)

// ConfigRecord is one record of what was done to a document, or to a gray release
// of it: both share one sequence without gaps.
type ConfigRecord struct {
	Seq      int64     `json:"seq" doc:"Its number, from 1"`
	Op       string    `json:"op" enum:"insert,update,delete"`
	Release  string    `json:"release,omitempty" doc:"The gray release that changed; absent when the document itself did"`
	Rule     *Rule     `json:"rule,omitempty" doc:"Of that release"`
	Priority int       `json:"priority,omitempty" doc:"Of that release"`
	Part     string    `json:"part,omitempty" doc:"The part of an aggregate whose change this was"`
	Head     Config    `json:"head" doc:"As it was published, or as it was before it was removed"`
	Revision int64     `json:"revision" doc:"Revision it was committed at"`
	At       time.Time `json:"at"`
	User     string    `json:"user,omitempty"`
	IP       string    `json:"ip,omitempty"`
	From     int64     `json:"from,omitempty" doc:"Number of the record that a revert or a promotion took the content from"`
	Content  *string   `json:"content,omitempty" doc:"Of a single record, when it is asked for"`
}

// ConfigHistory is one page of a document's history, the newest record first.
type ConfigHistory struct {
	Total   int            `json:"total" doc:"How many records are kept"`
	Records []ConfigRecord `json:"records" nullable:"false"`
	Next    int64          `json:"next,omitempty" doc:"What before is to be for the page behind this one; absent on the last"`
}

// ConfigRevert asks for a version of the past to be published anew.
type ConfigRevert struct {
	Seq int64 `json:"seq" minimum:"1" doc:"Number of its history record"`
}
