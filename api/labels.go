package api

import "time"

// PathLabels is the path of the labels of an address or a host name.
const PathLabels = "/v1/labels/{address}"

// AddressLabels are the labels of an address or a host name.
type AddressLabels struct {
	Address string            `json:"address" doc:"As asked for; an IP address in its canonical form"`
	Labels  map[string]string `json:"labels" doc:"With those of the networks it is in"`
	Source  LabelSource       `json:"source"`
}

// LabelSource says where labels come from, and how sure that is now.
type LabelSource struct {
	Origin   string    `json:"origin" doc:"Path of the file, or URL without user and query"`
	Entries  int       `json:"entries" doc:"Addresses, networks and host names that have labels"`
	Changed  time.Time `json:"changed" doc:"When this server took these labels"`
	AgeMs    int64     `json:"ageMs" doc:"How long ago at the most they were what the origin has, in milliseconds"`
	Recalled bool      `json:"recalled,omitempty" doc:"They were kept from an earlier run, as the origin has not answered yet"`
	Failing  string    `json:"failing,omitempty" doc:"Why there are no newer ones"`
}
