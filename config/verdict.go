package config

import "fmt"

// mostWarned is the longest content that is judged only to warn, in bytes: to
// judge a long one takes its time.
const mostWarned = 1 << 20

// verdicts keep what a judge said of contents while a plan is tried again.
type verdicts struct {
	judge Judge
	known map[string]error // by digest of the content, type and schema
}

// hold judges a content as the policy of its namespace has it: what is wrong is
// an error, or a warning of the plan.
func (v *verdicts) hold(p *plan, d *Document, content []byte) error {
	p.check(policyKey(d.Key.Namespace, ""))
	policy := p.snap.Policy(d.Key.Namespace, "").Validate
	if v.judge == nil || policy == ValidateOff || d.DataKey != "" || policy != ValidateRefuse && len(content) > mostWarned {
		return nil
	}
	key := d.MD5 + d.Type + d.Schema
	err, ok := v.known[key]
	if !ok {
		if d.Schema != "" {
			err = v.judge.CheckSchema(d.Schema)
		}
		if err != nil {
			err = fmt.Errorf("schema: %w", err)
		} else if err = v.judge.Check(d.Type, content, d.Schema); err != nil {
			err = fmt.Errorf("content is no valid %s: %w", d.Type, err)
		}
		if v.known == nil {
			v.known = map[string]error{}
		}
		v.known[key] = err
	}
	switch {
	case err == nil:
		return nil
	case policy == ValidateRefuse:
		return &InvalidError{"content", d.Key.String(), err.Error()}
	}
	p.warn(d.Key.String() + ": " + err.Error())
	return nil
}
