package api

import "time"

// PathClients is where clients of Nacos are listed that are connected.
const PathClients = "/v1/clients"

// Client is a client of Nacos that is connected over gRPC.
type Client struct {
	ID             string            `json:"id" doc:"Of its connection"`
	Server         string            `json:"server" doc:"Id of the server that it is connected to"`
	Version        string            `json:"version" doc:"What the client calls itself"`
	Address        string            `json:"address"`
	TLS            bool              `json:"tls"`
	Namespace      string            `json:"namespace,omitempty" doc:"As it says when it connects; clients do so for configuration alone, as a rule"`
	Labels         map[string]string `json:"labels,omitempty"`
	Since          time.Time         `json:"since"`
	Subscriptions  int               `json:"subscriptions" doc:"Services whose changes it is told of"`
	Services       int               `json:"services" doc:"Services that it has registered instances of"`
	Listeners      int               `json:"listeners" doc:"Documents whose changes it is told of"`
	Pushes         int               `json:"pushes" doc:"Sent so far"`
	Waiting        int               `json:"waiting" doc:"Of these, not acknowledged yet"`
	Unacknowledged int               `json:"unacknowledged" doc:"Of these, not acknowledged in time"`
	LastAck        *time.Time        `json:"lastAck,omitempty"`
	LagMs          float64           `json:"lagMs" doc:"Between the last push that was acknowledged and that, or how old the oldest one is that waits, if that is more"`
	Moving         bool              `json:"moving,omitempty" doc:"It was asked to move to another server"`
}

// ClientList is the clients of all servers, those that lag most first.
type ClientList struct {
	Total       int      `json:"total"`
	Clients     []Client `json:"clients" nullable:"false"`
	Unreachable []string `json:"unreachable,omitempty" doc:"Ids of servers that did not answer"`
}
