package client

import "bufio"

// ReadEvent reads one event as it travels.
func ReadEvent(r *bufio.Reader) (kind, id string, data []byte, err error) {
	e, err := readEvent(r)
	return e.kind, e.id, e.data, err
}
