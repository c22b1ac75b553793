package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/musterhq/muster/internal/nacoswire"
)

// naming speaks of services as one version of the HTTP API does.
type naming struct {
	roster

	api        string
	persistent bool
	light      bool // beats name their instance alone
}

func (n naming) path(of string) string {
	if n.api == "v3" {
		return "/nacos/v3/client/ns" + of
	}
	return "/nacos/" + n.api + "/ns" + of
}

func (n naming) query(m member) map[string][]string {
	v := n.params(m.service, m.group)
	v.Set("ip", m.address)
	v.Set("port", strconv.Itoa(int(m.port)))
	v.Set("ephemeral", strconv.FormatBool(!n.persistent))
	return v
}

func (n naming) register(m member) request {
	return request{method: http.MethodPost, path: n.path("/instance"), query: encode(n.registration(m))}
}

func (n naming) registration(m member) map[string][]string {
	v := n.query(m)
	if len(m.metadata) > 0 {
		b, _ := json.Marshal(m.metadata) // texts alone
		v["metadata"] = []string{string(b)}
	}
	return v
}

func (n naming) deregister(m member) request {
	return request{method: http.MethodDelete, path: n.path("/instance"), query: encode(n.query(m))}
}

// beat is a sign of life. In version 3 it is a registration that says so.
func (n naming) beat(m member) request {
	if n.api == "v3" {
		v := n.registration(m)
		v["heartBeat"] = []string{"true"}
		return request{method: http.MethodPost, path: n.path("/instance"), query: encode(v)}
	}
	v := n.query(m)
	if !n.light {
		v["beat"] = []string{n.fullBeat(m)}
	}
	return request{method: http.MethodPut, path: n.path("/instance/beat"), query: encode(v)}
}

// fullBeat is the text by which a server that does not know the instance registers it.
func (n naming) fullBeat(m member) string {
	b, _ := json.Marshal(struct {
		ServiceName string            `json:"serviceName"`
		IP          string            `json:"ip"`
		Port        uint16            `json:"port"`
		Cluster     string            `json:"cluster"`
		Weight      float64           `json:"weight"`
		Metadata    map[string]string `json:"metadata"`
		Scheduled   bool              `json:"scheduled"`
	}{m.group + "@@" + m.service, m.address, m.port, "DEFAULT", 1, m.metadata, true}) // texts and numbers alone
	return string(b)
}

func (n naming) list(service, group string) request {
	v := n.params(service, group)
	v.Set("healthyOnly", "true")
	return request{method: http.MethodGet, path: n.path("/instance/list"), query: encode(v)}
}

// good tells the answer to a write that was made from one that says otherwise.
func (n naming) good(body []byte) bool {
	if n.api == "v1" {
		return string(bytes.TrimSpace(body)) == "ok"
	}
	return enveloped(body)
}

// beaten tells the answer to a beat of an instance that is known.
func (n naming) beaten(body []byte) bool {
	if n.api == "v3" {
		return enveloped(body)
	}
	var answer struct {
		Code int `json:"code"`
		Data struct {
			Code int `json:"code"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return false
	}
	return answer.Code == nacoswire.BeatTaken || answer.Code == 0 && answer.Data.Code == nacoswire.BeatTaken
}

// listed tells a list with an instance in it; its contents are the client's business.
func (n naming) listed(body []byte) bool { return bytes.Contains(body, []byte(`"ip"`)) }

// enveloped tells an answer of version 2 or 3 that says of itself that all went well.
func enveloped(body []byte) bool {
	var answer struct {
		Code *int `json:"code"`
	}
	return json.Unmarshal(body, &answer) == nil && answer.Code != nil && *answer.Code == 0
}
