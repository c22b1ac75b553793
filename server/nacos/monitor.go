package nacos

import (
	"github.com/prometheus/client_golang/prometheus"
)

// monitor gathers the metrics that dashboards of Nacos know.
type monitor struct{ h *Handler }

var (
	descMonitor = prometheus.NewDesc("nacos_monitor", "What dashboards of Nacos watch, by module and name.", []string{"module", "name"}, nil)
	descSubs    = prometheus.NewDesc("nacos_naming_subscriber", "Clients that are told of changes of services, by generation.", []string{"version"}, nil)
	descPubs    = prometheus.NewDesc("nacos_naming_publisher", "Instances that beat for themselves or are persistent, by generation of clients.", []string{"version"}, nil)
	descConf    = prometheus.NewDesc("nacos_config_subscriber", "Clients that wait for changes of documents, by generation.", []string{"version"}, nil)
)

// Describe implements prometheus.Collector.
func (m monitor) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descMonitor, descSubs, descPubs, descConf} {
		to <- d
	}
}

// Collect implements prometheus.Collector. What Muster has not got is 0.
func (m monitor) Collect(to chan<- prometheus.Metric) {
	h := m.h
	var n counts
	leads := 0.0
	if snap := h.cfg.Registry.Snapshot(); snap != nil {
		n.count(snap)
		leads = 1
	}
	documents := 0
	if snap := h.cfg.Configs.View().Snapshot(); snap != nil {
		documents = snap.Len()
	}
	streams := h.tells.stats()
	listening, _ := h.listens.counts()
	pushes, subscribers, polls := h.cfg.Pusher.Stats(), float64(h.cfg.Pusher.SubscriberCount()), float64(h.polls.Taken())
	for module, values := range map[string]map[string]float64{
		"naming": {
			"serviceCount": float64(n.ServiceCount), "ipCount": float64(n.InstanceCount), "subscriberCount": subscribers + float64(streams.subscriptions),
			"maxPushCost": float64(cost(pushes, pushes.Max)), "avgPushCost": float64(cost(pushes, pushes.Average)), "leaderStatus": leads,
			"totalPush": float64(pushes.Total + streams.sent), "failedPush": float64(pushes.Failed + streams.failed), "emptyPush": float64(pushes.Empty),
			"mysqlHealthCheck": 0, "httpHealthCheck": 0, "tcpHealthCheck": 0,
			"serviceSubscribedEventQueueSize": 0, "serviceChangedEventQueueSize": 0, "pushPendingTaskCount": float64(pushes.Pending),
		},
		"config": {
			"getConfig": float64(h.gets.Load()), "publish": float64(h.publishes.Load()), "longPolling": polls, "configCount": float64(documents),
			"notifyTask": 0, "notifyClientTask": 0, "dumpTask": 0, "fuzzySearch": 0,
		},
		"core": {"longConnection": float64(h.conns.len())},
	} {
		for name, v := range values {
			to <- prometheus.MustNewConstMetric(descMonitor, prometheus.GaugeValue, v, module, name)
		}
	}
	for desc, values := range map[*prometheus.Desc][2]float64{
		descSubs: {subscribers, float64(streams.subscriptions)}, descPubs: {float64(n.ClientCount), 0}, descConf: {polls, float64(listening)},
	} {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, values[0], "v1")
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, values[1], "v2")
	}
}
