package track

// LimitFile stops the file from growing, as a full disk does; 0 lets it grow.
func (t *Track) LimitFile(bytes int) error {
	tx, err := t.file.db.Begin(true)
	if err != nil {
		return err
	}
	t.file.db.MaxSize = bytes // under the lock of whoever writes
	return tx.Rollback()
}

// Recode decodes a record and encodes it again.
func Recode(b []byte) ([]byte, error) {
	r, err := decode(b)
	if err != nil {
		return nil, err
	}
	return r.append(nil), nil
}

// ParseKey turns a key of the file around twice, and returns its names.
func ParseKey(b []byte) (names [4]string, again []byte, ok bool) {
	k, id, ok := parseKey(b)
	if !ok {
		return names, nil, false
	}
	return [4]string{k.Namespace, k.Group, k.DataID, id}, byDocumentKey(byClientKey(b)), true
}
