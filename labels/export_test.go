package labels

// ParseAtMost parses a table that may have so many entries.
func ParseAtMost(content []byte, most int) (*Table, error) { return parse(content, Unknown, most) }
