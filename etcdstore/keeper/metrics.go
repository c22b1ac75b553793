package keeper

import (
	"context"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/musterhq/muster/etcdstore/embedded"
)

// gatherWithin bounds the question for metrics: who scrapes does not wait for an
// etcd that hangs.
const gatherWithin = time.Second

// processNames are the metrics of the etcd's process that are told beside etcd's own,
// by other names: the process that asks has some of the same.
var processNames = map[string]string{
	"process_cpu_seconds_total":     "muster_etcd_process_cpu_seconds_total",
	"process_resident_memory_bytes": "muster_etcd_process_resident_memory_bytes",
}

// Gather returns etcd's own metrics, and what its process takes. There are none
// while it does not answer. It implements prometheus.Gatherer.
func (k *Keeper) Gather() ([]*dto.MetricFamily, error) {
	if k.Pid() == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), gatherWithin)
	defer cancel()
	all, err := embedded.Gather(ctx, k.client)
	if err != nil {
		k.log.Debug("the etcd process tells no metrics", "err", err)
		return nil, nil
	}
	var told []*dto.MetricFamily
	for _, family := range all {
		if name := processNames[family.GetName()]; name != "" {
			family.Name = &name
			told = append(told, family)
		} else if strings.HasPrefix(family.GetName(), "etcd_") {
			told = append(told, family)
		}
	}
	return told, nil
}
