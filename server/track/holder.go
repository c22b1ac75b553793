package track

import (
	"slices"
	"time"

	"github.com/musterhq/muster/config"
)

// Client is one that configuration reaches.
type Client struct {
	// ID tells clients apart, whatever their kind: that of an agent, or an address,
	// with the name of the application where it is known. At most 256 bytes.
	ID string
	// Kind is how it is known: KindPoll, KindAgent, KindGRPC or KindGet.
	Kind string
}

// How clients are known.
const (
	KindPoll  = "poll"  // it asks what changed, and says what it holds
	KindAgent = "agent" // it says what became of what it was given
	KindGRPC  = "grpc"  // it says over its connection what it holds
	KindGet   = "get"   // it only fetched: nobody knows whether it still holds it
)

// States of what a client holds ([Holder.State]) and of what it was given
// ([Offer.State]).
const (
	StateNone    = "none"    // it says that it holds nothing
	StateHeld    = "held"    // it says that it holds this
	StateApplied = "applied" // it holds this and says that it works with it

	StateSent     = "sent"     // it was given this, and has not said more
	StateWritten  = "written"  // it has put this in place, and has not said that it works
	StateRejected = "rejected" // it would not take this and went on with what it holds
)

// Holder is what one client holds of one document.
type Holder struct {
	Client  Client
	Key     config.Key
	MD5     string    // empty: none, or not known
	Release string    // by which it was given; empty: none, or not known
	State   string    // StateNone, StateHeld or StateApplied; empty when it never said
	Since   time.Time // when it got this; of an empty State: when it was first seen
	Joined  time.Time // since when it is heard of without a break
	Seen    time.Time // when it was last heard of
	Offer   *Offer    // what it was given that it does not hold; nil: nothing
}

// Offer is what a client was given last, while it does not hold it.
type Offer struct {
	MD5     string
	Release string
	State   string // StateSent, StateWritten or StateRejected
	Detail  string // what the client says of it
	At      time.Time
}

// Got reports whether the client has this digest, and since when. What it has
// put in place counts, what it was only sent does not. Everybody who said to
// hold nothing has the empty digest.
func (h Holder) Got(md5 string) (since time.Time, ok bool) {
	switch {
	case h.State != "" && h.MD5 == md5:
		return h.Since, true
	case h.Offer != nil && h.Offer.State == StateWritten && h.Offer.MD5 == md5:
		return h.Offer.At, true
	}
	return time.Time{}, false
}

// names of kinds and states, by their numbers in a record. The numbers are on
// disk: new names go to the end.
var (
	kinds  = []string{"", KindGet, KindPoll, KindAgent, KindGRPC}
	states = []string{"", StateNone, StateHeld, StateApplied, StateSent, StateWritten, StateRejected}
)

const (
	unknown = iota
	none
	held
	applied
	sent
	written
	rejected
)

const kindGet = 1

// number returns the place of a name; false when it is none, or empty.
func number(names []string, name string) (uint8, bool) {
	i := slices.Index(names, name)
	return uint8(max(i, 0)), i > 0
}
