package configfile

// For tests of what is on disk.
var (
	Sealed   = sealed
	Unsealed = unsealed
)

// ReadRecord and ReadEntry return only what is wrong.
func ReadRecord(dir, path string) error {
	_, err := readRecord(dir, path)
	return err
}

// RecordName is where the record of a path lies.
var RecordName = recordName
