package api

import "time"

// Part is one part of an aggregate: a document whose content is that of its
// parts, in the order of their ids, with a line break (CR LF) between each two.
type Part struct {
	DatumID  string    `json:"datumId"`
	MD5      string    `json:"md5"`
	Size     int       `json:"size"`
	Revision int64     `json:"revision"`
	Modified time.Time `json:"modified"`
	User     string    `json:"user,omitempty"`
	IP       string    `json:"ip,omitempty"`
}

// PartList lists the parts of an aggregate.
type PartList struct {
	Revision int64  `json:"revision"`
	Parts    []Part `json:"parts" nullable:"false"`
}
