package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

// bbolt's first page is a header of 16 bytes, then this, in the byte order of
// the machine.
type meta struct {
	Magic, Version, PageSize, Flags uint32
	Root, Sequence, Freelist        uint64
	Pages                           uint64 // in the file
}

const (
	pageHeader = 16
	boltMagic  = 0xed0cdaed
	sector     = 512 // etcd tells by it whether a hash was appended
	maxPage    = 1 << 16
)

// checkFile returns the size of a snapshot and the hash of the database in it.
func checkFile(ctx context.Context, path string) (size int64, sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", bare(err)
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return 0, "", bare(err)
	}
	if !stat.Mode().IsRegular() {
		return 0, "", errors.New("is no file")
	}
	if err := checkLength(f, stat.Size()); err != nil {
		return 0, "", err
	}
	h := sha256.New()
	database := stat.Size() - sha256.Size
	if _, err := io.Copy(h, reader{ctx, io.LimitReader(f, database)}); err != nil {
		return 0, "", err
	}
	appended := make([]byte, sha256.Size)
	if _, err := io.ReadFull(f, appended); err != nil {
		return 0, "", fmt.Errorf("is truncated: %w", err)
	}
	if got := h.Sum(nil); !bytes.Equal(got, appended) {
		return 0, "", fmt.Errorf("is damaged: its SHA-256 is %x, and it should be %x", got, appended)
	}
	return stat.Size(), hex.EncodeToString(appended), nil
}

// checkLength compares the length with what the database says of itself, and
// leaves f at its beginning.
func checkLength(f io.ReadSeeker, size int64) error {
	var m meta
	head := make([]byte, pageHeader)
	if _, err := io.ReadFull(f, head); err != nil {
		return notSnapshot(size, err)
	}
	if err := binary.Read(f, binary.NativeEndian, &m); err != nil {
		return notSnapshot(size, err)
	}
	if m.Magic != boltMagic || m.PageSize == 0 || m.PageSize > maxPage || m.Pages > 1<<40 {
		return notSnapshot(size, nil)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return bare(err)
	}
	switch database := int64(m.Pages) * int64(m.PageSize); {
	case size == database && size%sector == 0:
		return errors.New("has no SHA-256 at its end: it is truncated, or the copy of a database and no snapshot")
	case size < database+sha256.Size:
		return fmt.Errorf("is truncated: it has %d bytes of %d", size, database+sha256.Size)
	case size%sector != sha256.Size:
		return fmt.Errorf("is damaged: it has %d bytes, and a snapshot like it has %d", size, database+sha256.Size)
	}
	return nil
}

func notSnapshot(size int64, err error) error {
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return bare(err)
	}
	if size == 0 {
		return errors.New("is no snapshot of etcd: it is empty")
	}
	return errors.New("is no snapshot of etcd")
}

// bare drops the path from err: the caller names it.
func bare(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}

// reader stops when its context ends.
type reader struct {
	ctx context.Context //nolint:containedctx // it lives as long as one call
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
