package client

import (
	"errors"
	"fmt"
)

// failures is what the servers made of one call, each what it did last: by their place
// among the servers of a Client.
type failures struct {
	servers []string
	last    []error
	newest  int
}

func (f *failures) add(at int, err error) {
	if f.last == nil {
		f.last = make([]error, len(f.servers))
	}
	f.last[at], f.newest = err, at
}

// err returns what to tell of a call that no server could carry out. What a server said
// goes before what others did not: it is the reason that somebody can act on.
func (f *failures) err() error {
	var said error
	var by string
	var silent []string
	var silence *UnreachableError
	for i, err := range f.last {
		u, none := errors.AsType[*UnreachableError](err)
		switch {
		case err == nil:
		case none:
			silent = append(silent, f.servers[i])
			if silence == nil || i == f.newest {
				silence = u
			}
		case said == nil || i == f.newest:
			said, by = err, f.servers[i]
		}
	}
	switch {
	case silence == nil:
		return said
	case said == nil:
		return &UnreachableError{Servers: silent, Err: silence.Err}
	}
	return fmt.Errorf("%s: %w; %w", by, said, &UnreachableError{Servers: silent, Err: silence.Err})
}
