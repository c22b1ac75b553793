package dnsd

// maxWorking bounds the queries over TCP that handlers work on, at all addresses: each
// may hold a message of hundreds of kilobytes until it is packed. A quarter of them may
// be of one client. Further ones wait for their turn, one of each connection, however
// many it has under way.
const maxWorking = 1024

// working holds one for each query that handlers work on.
type working chan struct{}

// begin waits for room, and reports false when stopping is closed before.
func (w working) begin(stopping <-chan struct{}) bool {
	select {
	case w <- struct{}{}:
		return true
	case <-stopping:
		return false
	}
}

// done takes back a begin.
func (w working) done() { <-w }
