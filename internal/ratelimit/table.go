package ratelimit

import (
	"sync/atomic"
	"time"
)

// A bucket is full again at some moment: the later, the more was taken out. That
// moment is all there is to know of it, and when it has passed the bucket is as
// good as one never seen. So one word holds a prefix's mark and its moment, is
// changed by one compare-and-swap, and is free for anybody once its time is
// over: a source that is heard of once takes up room for 1/Rate seconds only.
//
// Moments are in ticks of 64 ns and wrap around after twelve days. A word from
// so long ago may look like one of now, and costs its owner a second's credit.
const (
	tick      = 64 * time.Nanosecond
	markShift = 44
	timeMask  = 1<<markShift - 1
)

func ticksOf(now time.Time) uint64 { return uint64(now.UnixNano()) / uint64(tick) & timeMask }

// bucket is the shape of all buckets, in ticks.
type bucket struct {
	each  int64 // what one response takes out
	full  int64 // what may be taken out of a full one, a multiple of each
	spare int64 // who has taken out more keeps its word: it may be one that is held back
	early int64 // how far calls may be out of order
}

func newBucket(rate int, window time.Duration) bucket {
	second := int64(time.Second / tick)
	each := (second + int64(rate)/2) / int64(rate)
	full := each * max(1, int64(window)*int64(rate)/int64(time.Second))
	return bucket{each, full, min(full-each, full/2), second}
}

// taken returns how much is taken out of the bucket that a word stands for. A
// moment that no bucket can have is one before a change of the clock.
func (b *bucket) taken(word, now uint64) int64 {
	const unused = 64 - markShift
	left := int64((word-now)<<unused) >> unused // with its sign
	if word == 0 || left < 0 || left > b.full+b.early {
		return 0
	}
	return left
}

// ways is how many prefixes a set holds. Of eight, one is free in nearly all sets
// while half of the table is taken.
const ways = 8

// set holds the buckets of the prefixes that hash to it.
type set struct {
	words   [ways]atomic.Uint64
	refused [ways]atomic.Uint32 // how often a word said no; whose it is does not matter
}

// take takes one response out of the bucket of the prefix with this mark. When
// there is not enough in it passed is false, and refusals is where to count it.
//
// A newcomer gets the word of whoever has taken out least, which does not harm
// the former owner: its bucket is full from then on. Only a word that is at its
// limit, or has half of it behind it, is not given away, else a flood from many
// sources would free one that is held back. When all words are such, the newcomer
// passes and is forgotten: better a flood more is answered than one honest client less.
func (s *set) take(b *bucket, mark, now uint64) (refusals *atomic.Uint32, passed bool) {
	for {
		at, taken := -1, b.spare+1
		var old uint64
		for i := range s.words {
			word := s.words[i].Load()
			out := b.taken(word, now)
			if word>>markShift == mark {
				at, taken, old = i, out, word
				break
			}
			if out < taken {
				at, taken, old = i, out, word
			}
		}
		switch {
		case at < 0:
			return nil, true
		case old>>markShift != mark:
			taken = 0
		case taken+b.each > b.full:
			return &s.refused[at], false
		}
		until := (now + uint64(taken+b.each)) & timeMask
		if s.words[at].CompareAndSwap(old, mark<<markShift|until) {
			return nil, true
		} // else somebody else took from it, or took it
	}
}
