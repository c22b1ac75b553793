package nacos

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"sync"
)

// metricKey is what a client is asked to tell.
type metricKey struct {
	Type string `json:"type"`
	Key  string `json:"key"`
}

type metricQuestion struct {
	Module string      `json:"module"`
	Keys   []metricKey `json:"metricsKeys"`
}

// configMetricsHere answers what the clients of an address say of what they hold that
// listen over a connection to this server. Only those of Java say anything.
func (h *Handler) configMetricsHere(c *call) (any, error) {
	if err := c.present("ip"); err != nil {
		return nil, err
	}
	question := metricQuestion{Module: "internal", Keys: []metricKey{}}
	if c.value("dataId") != "" {
		group, namespace := c.words()
		key := c.value("dataId") + "+" + c.value(group)
		if tenant := c.value(namespace); tenant != "" {
			key += "+" + tenant
		}
		question.Keys = append(question.Keys, metricKey{"cacheData", key}, metricKey{"snapshotData", key})
	}
	body, err := encode(question)
	if err != nil {
		return nil, err
	}
	var (
		mu    sync.Mutex
		asked sync.WaitGroup
		all   = map[string]any{}
	)
	for _, conn := range h.listens.at(c.value("ip")) {
		asked.Add(1)
		conn.Ask("ClientConfigMetricRequest", []byte(body), configPushTime, func(answer []byte, _ error) {
			defer asked.Done()
			var said struct{ Metrics map[string]any }
			if json.Unmarshal(answer, &said) != nil { // it says nothing
				return
			}
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(all, said.Metrics)
		})
	}
	asked.Wait()
	return all, nil
}

// configMetrics answers the same of clients at whichever server.
func (h *Handler) configMetrics(c *call) (any, error) {
	here, err := h.configMetricsHere(c)
	if err != nil {
		return nil, err
	}
	all, _ := here.(map[string]any)
	group, namespace := c.words()
	v := url.Values{"ip": {c.value("ip")}, "dataId": {c.value("dataId")}, "group": {c.value(group)}, "tenant": {c.value(namespace)}}
	h.cfg.Elsewhere(c.r.Context(), h.cfg.ContextPath+config1.prefix+"/metrics/current?"+v.Encode(), func(body []byte) {
		var there map[string]any
		if json.Unmarshal(body, &there) == nil {
			maps.Copy(all, there)
		}
	})
	return all, nil
}

// at returns the connections of an address that listen.
func (l *configListeners) at(ip string) []pushed {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(func(yield func(pushed) bool) {
		for conn, one := range l.by {
			if one.says.IP == ip && !yield(conn) {
				return
			}
		}
	})
}
