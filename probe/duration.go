package probe

import (
	"fmt"
	"time"
)

// Duration is a time.Duration written as text in JSON and YAML: "5s", "250ms".
type Duration time.Duration

// MarshalText returns the form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration reads; a bare number is refused,
// for nobody can tell whether it means seconds or milliseconds.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 5s or 250ms", text)
	}
	*d = Duration(v)
	return nil
}

func (d Duration) String() string { return time.Duration(d).String() }
