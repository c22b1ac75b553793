package labels

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// keyColumn heads the first column.
const keyColumn = "address"

// parseCSV reads a table with a row of names at the top: the first column has the
// addresses, networks or host names, each other one the values of one label. The
// last line must be ended: that is the only sign that it is whole.
func parseCSV(content []byte, b *builder) error {
	r := csv.NewReader(bytes.NewReader(content))
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return csvError(err)
	}
	names, err := columns(header)
	if err != nil {
		return err
	}
	said := make([]label, 0, len(names))
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return csvError(err)
		}
		line, _ := r.FieldPos(0)
		said = said[:0]
		for i, value := range record[1:] {
			if value = strings.TrimSpace(value); value != "" {
				said = append(said, label{names[i], value})
			}
		}
		if err := b.add(line, strings.TrimSpace(record[0]), said); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
	if content[len(content)-1] != '\n' {
		return fmt.Errorf("line %d: the last line has no end: it may be cut off", lineAt(content, len(content)))
	}
	return nil
}

// columns returns the names of the labels in a header.
func columns(header []string) ([]string, error) {
	names := make([]string, len(header))
	seen := make(map[string]bool, len(header))
	for i, name := range header {
		name = strings.TrimSpace(name)
		if i == 0 {
			if !strings.EqualFold(name, keyColumn) {
				return nil, fmt.Errorf("line 1: the first column is called %.64q, not %q", name, keyColumn)
			}
			continue
		}
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("line 1: column %d: %w", i+1, err)
		}
		if seen[name] {
			return nil, fmt.Errorf("line 1: column %d: label %q is given twice", i+1, name)
		}
		names[i], seen[name] = name, true
	}
	if len(names)-1 > maxLabels {
		return nil, fmt.Errorf("line 1: has %d labels, more than %d", len(names)-1, maxLabels)
	}
	return names[1:], nil
}

// csvError tells an error of the reader as the rest of the package does.
func csvError(err error) error {
	if p, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("line %d: %w", p.Line, p.Err)
	}
	return err
}
