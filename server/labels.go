package server

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/musterhq/muster/access"
	"github.com/musterhq/muster/api"
	"github.com/musterhq/muster/labels"
	"github.com/musterhq/muster/registry"
)

// Labels says where the labels of addresses come from. Without File and URL there
// are none.
type Labels struct {
	// File is the path of a CSV or JSON file.
	File string `yaml:"file"`
	// URL is an HTTP endpoint that answers CSV or JSON.
	URL string `yaml:"url"`
	// Interval is how often it is looked for new ones, at least 1 s; 0 is 5 s for a
	// file and 30 s for a URL.
	Interval time.Duration `yaml:"interval"`
	// Timeout bounds one call of the URL; 0 is 10 s.
	Timeout time.Duration `yaml:"timeout"`
	// Headers are sent to the URL.
	Headers map[string]string `yaml:"headers"`
}

// leastLabelInterval keeps a server from calling an endpoint all the time.
const leastLabelInterval = time.Second

// given reports whether there is to be a source. What is set without one is
// probably meant for one.
func (l Labels) given() bool {
	return l.File != "" || l.URL != "" || l.Interval != 0 || l.Timeout != 0 || len(l.Headers) > 0
}

func (l Labels) check() error {
	if !l.given() {
		return nil
	}
	err := l.config().Check()
	if err == nil && l.Interval != 0 && l.Interval < leastLabelInterval {
		err = fmt.Errorf("interval: %v is less than %v", l.Interval, leastLabelInterval)
	}
	if err != nil {
		return fmt.Errorf("labels: %w", err)
	}
	return nil
}

func (l Labels) config() labels.Config {
	return labels.Config{File: l.File, URL: l.URL, Interval: l.Interval, Timeout: l.Timeout, Headers: l.Headers}
}

// labelsName is the file of the data directory that keeps what the endpoint of
// labels answered last.
const labelsName = "labels"

// openLabels returns the source of labels, nil when there is to be none.
func (s *Server) openLabels() (*labels.Source, error) {
	if !s.cfg.Labels.given() {
		return nil, nil //nolint:nilnil // a nil source is one without labels
	}
	cfg := s.cfg.Labels.config()
	if cfg.URL != "" {
		cfg.Cache = filepath.Join(s.cfg.DataDir, labelsName)
	}
	cfg.Logger, cfg.Registerer = s.log, s.metrics
	return labels.New(cfg)
}

func (f *face) mountLabels(a huma.API) {
	register(a, access.Reads(access.Naming, ""), huma.Operation{OperationID: "get-labels", Method: http.MethodGet, Path: api.PathLabels,
		Summary: "Show the labels of an address", Tags: []string{"labels"}}, f.getLabels)
}

// LabelsPath names an address in a path.
type LabelsPath struct {
	Address string `path:"address" doc:"IP address or host name" example:"192.0.2.10"`
}

type labelsAnswer struct{ Body api.AddressLabels }

func (f *face) getLabels(_ context.Context, p *LabelsPath) (*labelsAnswer, error) {
	source := f.server.labels
	if source == nil {
		return nil, huma.Error404NotFound("this server has no source of labels: labels.file or labels.url sets one")
	}
	host, err := registry.CanonicalHost(p.Address)
	if err != nil {
		return nil, f.failure(err)
	}
	table, st := source.Current(), source.Status()
	if table == nil {
		why := st.Failing
		if why == "" {
			why = "not read yet"
		}
		return nil, huma.Error503ServiceUnavailable(fmt.Sprintf("there are no labels so far: %s: %s", st.Origin, why))
	}
	out := api.AddressLabels{Address: host, Labels: maps.Clone(table.OfHost(host)), Source: api.LabelSource{
		Origin: st.Origin, Entries: st.Entries, Changed: st.Changed.UTC(), AgeMs: st.Age(time.Now()).Milliseconds(),
		Recalled: st.Recalled, Failing: st.Failing}}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	return &labelsAnswer{out}, nil
}
