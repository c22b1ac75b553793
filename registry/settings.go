package registry

import (
	"context"
	"maps"
	"regexp"
	"unicode/utf8"
)

var settingsForm = regexp.MustCompile(`^[0-9A-Za-z._-]{1,64}$`)

// Bounds of the settings of one name.
const (
	maxSettings     = 256
	maxSettingValue = 8 << 10 // bytes, key and value together
)

// Set sets one of the settings of a name for all servers; an empty value takes it
// back.
func (r *Registry) Set(ctx context.Context, name, key, value string) (Receipt, error) {
	switch {
	case !settingsForm.MatchString(name):
		return Receipt{}, invalid("settings", name, "must be 1 to 64 letters, digits or one of . - _")
	case key == "" || len(key)+len(value) > maxSettingValue || !utf8.ValidString(key+value):
		return Receipt{}, invalid("setting", key, "is empty, longer than 8192 bytes, or not valid UTF-8")
	}
	return r.apply(ctx, func(p *plan) error {
		stands, _ := p.snap.settings.Get(name)
		next := &Settings{Name: name, Values: map[string]string{}}
		if stands.record != nil {
			maps.Copy(next.Values, stands.record.Values)
		}
		if next.Values[key] == value {
			return nil
		}
		if next.Values[key] = value; value == "" {
			delete(next.Values, key)
		}
		if len(next.Values) > maxSettings {
			return invalid("settings", name, "are more than 256")
		}
		p.check(next.RecordKey(), stands.revision)
		p.put(next)
		return nil
	})
}
