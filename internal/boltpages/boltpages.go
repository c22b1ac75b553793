// Package boltpages finds out whether a bbolt database is damaged before bbolt does.
//
// bbolt trusts what it reads: a damaged file makes it panic, read outside of the
// file, or follow a circle of pages without end.
package boltpages

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
)

// No recover helps against a memory that a circle has filled. A page is a header
// (own number, flags, count, how many pages follow as part of it), then elements
// that say where their keys and values lie, then those.
const (
	pageHeader   = 16
	branchPage   = 0x01
	leafPage     = 0x02
	bucketEntry  = 0x01
	elementBytes = 16 // of either kind of page
	bucketHeader = 16 // number of the root page, sequence
	// maxDepth is far above that of a tree that fills a disk.
	maxDepth = 100
)

// pages walks a database.
type pages struct {
	ctx   context.Context //nolint:containedctx // it lives as long as one call
	file  io.ReaderAt
	size  int64 // of a page
	seen  []bool
	depth int
}

// Check returns an error unless all that is reached from the root of tx, which
// reads the file at path, forms a tree within that file.
func Check(ctx context.Context, path string, tx *bolt.Tx) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size := int64(tx.DB().Info().PageSize)
	stat, err := f.Stat()
	if err != nil {
		return err
	}
	p := pages{ctx: ctx, file: f, size: size, seen: make([]bool, min(tx.Size(), stat.Size())/size)}
	return p.walk(uint64(tx.Cursor().Bucket().RootPage()))
}

func (p *pages) walk(id uint64) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	page, err := p.load(id)
	if err == nil {
		err = p.check(page)
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// check checks the elements of a page and follows them.
func (p *pages) check(page []byte) error {
	if p.depth++; p.depth > maxDepth {
		return fmt.Errorf("lies deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	flags, count := binary.NativeEndian.Uint16(page[8:]), int(binary.NativeEndian.Uint16(page[10:]))
	if pageHeader+count*elementBytes > len(page) {
		return fmt.Errorf("has no room for %d elements", count)
	}
	var follow func(rest, element []byte) error
	switch {
	case flags == leafPage:
		follow = p.leaf
	case flags == branchPage && count > 0:
		follow = p.branch
	default:
		return fmt.Errorf("is of kind %#x with %d elements", flags, count)
	}
	for n := range count {
		at := pageHeader + n*elementBytes
		if err := follow(page[at:], page[at:at+elementBytes]); err != nil {
			return err
		}
	}
	return nil
}

// load returns a page that was not met before, with those that follow as part
// of it.
func (p *pages) load(id uint64) ([]byte, error) {
	head := make([]byte, pageHeader)
	if id >= uint64(len(p.seen)) {
		return nil, fmt.Errorf("is beyond the end, of %d pages", len(p.seen))
	}
	if _, err := p.file.ReadAt(head, int64(id)*p.size); err != nil {
		return nil, err
	}
	last := id + uint64(binary.NativeEndian.Uint32(head[12:]))
	if own := binary.NativeEndian.Uint64(head); own != id || last >= uint64(len(p.seen)) {
		return nil, fmt.Errorf("says that it is page %d and reaches to %d, of %d pages", own, last, len(p.seen))
	}
	for i := id; i <= last; i++ {
		if p.seen[i] {
			return nil, fmt.Errorf("is part of what is there twice, with page %d", i)
		}
		p.seen[i] = true
	}
	page := make([]byte, int64(last-id+1)*p.size)
	_, err := p.file.ReadAt(page, int64(id)*p.size)
	return page, err
}

// branch follows an element: where its key lies from there on, how long that is,
// and which page is below. rest is the page from the element on.
func (p *pages) branch(rest, element []byte) error {
	pos, key := number(element), number(element[4:])
	if pos+key > uint64(len(rest)) {
		return fmt.Errorf("a key of %d bytes reaches out of it", key)
	}
	return p.walk(binary.NativeEndian.Uint64(element[8:]))
}

// leaf follows an element, when it is a bucket: flags, where its key lies, how
// long that and the value behind it are.
func (p *pages) leaf(rest, element []byte) error {
	pos, key, value := number(element[4:]), number(element[8:]), number(element[12:])
	if pos+key+value > uint64(len(rest)) {
		return fmt.Errorf("a key and value of %d bytes reach out of it", key+value)
	}
	if number(element)&bucketEntry == 0 {
		return nil
	}
	if value < bucketHeader {
		return fmt.Errorf("a bucket of %d bytes", value)
	}
	bucket := rest[pos+key : pos+key+value]
	if root := binary.NativeEndian.Uint64(bucket); root != 0 {
		return p.walk(root)
	}
	inline := bucket[bucketHeader:] // a small bucket has its only page with it
	if len(inline) < pageHeader || binary.NativeEndian.Uint16(inline[8:]) != leafPage {
		return errors.New("a bucket without a page")
	}
	return p.check(inline)
}

func number(b []byte) uint64 { return uint64(binary.NativeEndian.Uint32(b)) }

// Guarded turns a panic of f into an error that begins with what, also one for an
// address outside of the file. What f left locked stays so.
func Guarded(what string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: %v", what, r)
		}
	}()
	return f()
}
