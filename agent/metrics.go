package agent

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/musterhq/muster/agent/configfile"
	"github.com/musterhq/muster/api"
)

// gauges tells what the status tells, as numbers. It reads the status when it is
// asked, so that nothing has to be counted twice.
type gauges struct {
	agent *Agent

	info, up, sets, failed, retries, mistakes, setbacks, instances, checks, flapping, files, wrong, drained, maintained *prometheus.Desc
}

func newGauges(a *Agent) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("muster_agent_"+name, help, labels, nil)
	}
	return &gauges{
		agent:      a,
		info:       desc("info", "1, with the version of the agent", "version"),
		up:         desc("server_up", "1 while a server takes the announcements"),
		sets:       desc("sets_sent_total", "whole sets that a server took"),
		failed:     desc("announcements_failed_total", "announcements that no server took"),
		retries:    desc("announcements_retried_total", "announcements that followed one of those"),
		mistakes:   desc("definition_errors_total", "new faults that were found in definition files and registrations; what stays wrong counts once"),
		setbacks:   desc("file_failures_total", "times that a configuration file was not written, checked, rendered or reloaded as it should be, each try counts"),
		instances:  desc("instances", "instances that are declared, by health; refused and standby ones are told apart", "health"),
		checks:     desc("checks", "checks by kind and verdict", "kind", "state"),
		flapping:   desc("flapping_checks", "checks that are held critical because they changed too often"),
		files:      desc("files", "configuration files by state", "state"),
		wrong:      desc("wrong_definitions", "definition files and registrations of which something does not count"),
		drained:    desc("drained", "1 while everything has weight 0 because the agent is drained or leaves"),
		maintained: desc("maintained_instances", "instances under maintenance"),
	}
}

func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.info, g.up, g.sets, g.failed, g.retries, g.mistakes, g.setbacks, g.instances, g.checks, g.flapping, g.files, g.wrong, g.drained, g.maintained} {
		to <- d
	}
}

// health of an instance that the servers do not hold for this agent.
const (
	healthRefused = "refused"
	healthStandby = "standby"
)

func (g *gauges) Collect(to chan<- prometheus.Metric) {
	s := g.agent.Status()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(g.info, 1, s.Version)
	gauge(g.up, truth(s.Server.Error == "" && !s.Server.Reached.IsZero()))
	for d, n := range map[*prometheus.Desc]uint64{
		g.sets: s.Server.Sets, g.failed: s.Server.Failed, g.retries: s.Server.Retries,
		g.mistakes: g.agent.sources.Mistakes(), g.setbacks: g.agent.keeper.Failures(),
	} {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}

	instances := map[string]float64{api.HealthPassing: 0, api.HealthCritical: 0, api.HealthUnknown: 0, healthRefused: 0, healthStandby: 0}
	checks := make(map[[2]string]float64)
	flapping, maintained := 0.0, 0.0
	for _, i := range s.Instances {
		switch {
		case i.Rejected != "":
			instances[healthRefused]++
		case i.Standby != "":
			instances[healthStandby]++
		default:
			instances[i.Health]++
		}
		maintained += truth(i.Maintenance != nil)
		for _, c := range i.Checks {
			checks[[2]string{kindOf(c.Check), string(c.State)}]++
			flapping += truth(c.Flapping)
		}
	}
	for health, n := range instances {
		gauge(g.instances, n, health)
	}
	for at, n := range checks {
		gauge(g.checks, n, at[0], at[1])
	}
	gauge(g.flapping, flapping)
	gauge(g.maintained, maintained)

	files := map[string]float64{configfile.StateWaiting: 0, configfile.StateDelayed: 0, configfile.StateInStep: 0,
		configfile.StateFailed: 0, configfile.StateRejected: 0, configfile.StateGone: 0}
	for _, f := range s.Configs.Files {
		files[f.State]++
	}
	for state, n := range files {
		gauge(g.files, n, state)
	}
	wrong := 0.0
	for _, d := range s.Definitions {
		wrong += truth(d.Error != "" || len(d.Problems) > 0)
	}
	gauge(g.wrong, wrong)
	gauge(g.drained, truth(s.Drain.State != "none"))
}

// newTook returns how long tries of checks took. The bounds tell what is on this
// host from what is not, and from what hardly answers.
func newTook() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "muster_agent_check_duration_seconds", Help: "how long tries of checks took, by kind", Buckets: []float64{.001, .01, .1, 1, 10},
	}, []string{"kind"})
}

// kindOf returns the kind of a check from how it is told: the kind and the target.
func kindOf(check string) string {
	kind, _, _ := strings.Cut(check, " ")
	return kind
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// scrape answers the metrics of this agent and of its process.
func (a *Agent) scrape() http.Handler {
	return promhttp.HandlerFor(a.cfg.Registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// register adds the agent's metrics to its registry.
func (a *Agent) register() error {
	for _, c := range append(a.certMetrics(),
		newGauges(a), a.took, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	) {
		if err := a.cfg.Registry.Register(c); err != nil {
			return err
		}
	}
	return nil
}
