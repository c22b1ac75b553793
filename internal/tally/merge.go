package tally

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// merged is a histogram of the vector with what cells have counted.
type merged struct {
	prometheus.Metric
	with *Histogram
}

// Write implements [prometheus.Metric].
func (m merged) Write(to *dto.Metric) error {
	if err := m.Metric.Write(to); err != nil {
		return err
	}
	m.with.addTo(to.GetHistogram())
	return nil
}

// Collect implements [prometheus.Collector].
func (h *Histograms) Collect(ch chan<- prometheus.Metric) {
	all := h.totals() // these are series of the vector from now on
	own := make(chan prometheus.Metric)
	go func() {
		defer close(own)
		h.HistogramVec.Collect(own)
	}()
	for m := range own {
		if cell := all[m]; cell != nil {
			m = merged{m, cell}
		}
		ch <- m
	}
}
