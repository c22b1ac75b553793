package api

import "time"

// PathConfigClient shows what one client holds.
const PathConfigClient = "/v1/config-clients/{client}"

// PathPeerHolders is what servers ask each other of the push track.
const PathPeerHolders = "/v1/peer/config-holders"

// ConfigHolder is what one client holds of one document.
type ConfigHolder struct {
	Client    string       `json:"client" doc:"Id of an agent, or an address"`
	Kind      string       `json:"kind" enum:"poll,agent,grpc,get" doc:"How it is known; one that only fetched may hold it no more"`
	Namespace string       `json:"namespace"`
	Group     string       `json:"group"`
	DataID    string       `json:"dataId"`
	MD5       string       `json:"md5,omitempty" doc:"Of what it holds; absent when that is nothing, or not known"`
	Release   string       `json:"release,omitempty" doc:"The gray release by which it got it"`
	State     string       `json:"state,omitempty" doc:"none, held or applied, as the client says; absent when it never said"`
	Since     time.Time    `json:"since" doc:"When it got this"`
	Seen      time.Time    `json:"seen" doc:"When it was last heard of"`
	Offer     *ConfigOffer `json:"offer,omitempty" doc:"What it was given last, while it does not hold it"`
}

// ConfigOffer is what a client was given and does not hold.
type ConfigOffer struct {
	MD5     string    `json:"md5"`
	Release string    `json:"release,omitempty"`
	State   string    `json:"state" enum:"sent,written,rejected"`
	Detail  string    `json:"detail,omitempty" doc:"What the client says of it"`
	At      time.Time `json:"at"`
}

// ConfigLag is how long one client took to get the newest content.
type ConfigLag struct {
	Client string `json:"client"`
	TookMs *int64 `json:"tookMs,omitempty" doc:"Milliseconds from the publish; absent: it does not have it"`
}

// ConfigTrack says which clients hold which content of a document, and how far the
// newest has reached them.
type ConfigTrack struct {
	MD5      string         `json:"md5,omitempty" doc:"Of the document; what a client should have may be that of a gray release"`
	Modified *time.Time     `json:"modified,omitempty" doc:"When the document, or a gray release of it, was last published"`
	Clients  int            `json:"clients" doc:"Clients that were heard of lately, those that only fetched apart"`
	OnNewest int            `json:"onNewest" doc:"Those of them that have what they should"`
	Share    float64        `json:"share" doc:"Of all, 0 to 1"`
	TookMs   *int64         `json:"tookMs,omitempty" doc:"Milliseconds from the publish until the last one had it; absent while one has not"`
	Slowest  []ConfigLag    `json:"slowest,omitempty" doc:"Up to ten: those that do not have it, then those that took longest"`
	Holders  []ConfigHolder `json:"holders" nullable:"false"`
	Silent   []ServerSilent `json:"silent,omitempty" doc:"Servers that did not answer in time: what they heard is not in this"`
}

// ConfigClient is what one client holds.
type ConfigClient struct {
	Client  string         `json:"client"`
	Holders []ConfigHolder `json:"holders" nullable:"false"`
	Silent  []ServerSilent `json:"silent,omitempty"`
}

// ConfigHolders is what one server heard of.
type ConfigHolders struct {
	ID      string         `json:"id" doc:"Of the server"`
	Holders []ConfigHolder `json:"holders" nullable:"false"`
}

// ServerSilent is a server that did not answer another one.
type ServerSilent struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Error string `json:"error"`
}
