//go:build !linux

package source

import "errors"

// addressChanges is there on Linux alone; elsewhere the rescan must do.
func addressChanges() (changed <-chan struct{}, end func(), err error) {
	return nil, nil, errors.ErrUnsupported
}
