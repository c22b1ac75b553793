package etcdstore

import (
	"context"
	"fmt"
	"io"
)

// Backup writes a snapshot of etcd, of one of its members, to w as etcd streams
// it: its file at one revision, then the SHA-256 of that. It returns how many
// bytes it wrote. With an error what was written is of no use.
func (s *Store) Backup(ctx context.Context, w io.Writer) (int64, error) {
	if err := s.health.err(s.now()); err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx) // ends the stream when w fails
	defer cancel()
	s.guard.streams.Add(1)
	defer s.guard.streams.Add(-1)
	stream, err := s.client.Snapshot(ctx)
	if err != nil {
		return 0, fmt.Errorf("backup: %w", outward(err))
	}
	defer stream.Close()
	n, err := io.Copy(w, stream)
	if err != nil {
		return n, fmt.Errorf("backup: %w", err)
	}
	return n, nil
}
