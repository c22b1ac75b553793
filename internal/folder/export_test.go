package folder

// NextOf is the three-way rule by itself.
var NextOf = next

// ParseState reads what a folder remembers, and writes it again.
func ParseState(text []byte) (again []byte, err error) {
	s, err := parseState(text)
	if err != nil {
		return nil, err
	}
	f := &Folder{state: s}
	return f.text()
}
