//go:build !linux

package dnsd

import (
	"errors"
	"net"
)

// batches says whether the system has batches.
var batches = false

func newMmsg(*net.UDPConn, bool) (batcher, error) { return nil, errors.ErrUnsupported }
