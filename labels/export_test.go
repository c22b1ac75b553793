package labels

import "context"

// ParseAtMost parses a table that may have so many entries.
func ParseAtMost(content []byte, most int) (*Table, error) { return parse(content, Unknown, most) }

// Look looks for a new version once, as Run does, and reports whether all is well.
func (s *Source) Look(ctx context.Context) bool { return s.look(ctx) }
