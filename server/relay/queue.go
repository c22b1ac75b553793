package relay

import "sync"

const (
	sendMost  = MaxBatch // witnesses in one batch to another server or the mailbox
	sendBytes = 1 << 20  // and their bytes
)

// queue holds witnesses in the order they were heard, each once.
type queue struct {
	most, mostBytes int // it holds so many

	mu     sync.Mutex
	in     map[string]struct{} // guarded by mu, as is the rest
	order  []string            // from head on
	head   int
	bytes  int
	sent   int            // witnesses in the batch under way
	waiter []chan<- error // told when what was in the queue is delivered, or is not
}

// add puts a witness at the end unless it is in the queue; false: it is full.
func (q *queue) add(witness string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.push(witness)
}

func (q *queue) push(witness string) bool {
	if _, ok := q.in[witness]; ok {
		return true
	}
	if len(q.in) >= q.most || q.bytes+len(witness) > q.mostBytes {
		return false
	}
	if q.in == nil {
		q.in = make(map[string]struct{})
	}
	q.in[witness] = struct{}{}
	q.order = append(q.order, witness)
	q.bytes += len(witness)
	return true
}

// addAll adds witnesses and has done, which takes one error without blocking,
// told what became of them. False: the queue is full, and what it took is there.
func (q *queue) addAll(witnesses []string, done chan<- error) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range witnesses {
		if !q.push(w) {
			return false
		}
	}
	q.waiter = append(q.waiter, done)
	return true
}

// begin returns how many witnesses wait, and who is to be told of them.
func (q *queue) begin() (n int, waiter []chan<- error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiter, q.waiter = q.waiter, nil
	return len(q.in), waiter
}

// take removes the next batch and returns it.
func (q *queue) take() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var batch []string
	bytes := 0
	for _, w := range q.order[q.head:] {
		if bytes += len(w); len(batch) == sendMost || bytes > sendBytes && len(batch) > 0 {
			break
		}
		batch = append(batch, w)
		delete(q.in, w)
		q.bytes -= len(w)
	}
	clear(q.order[q.head : q.head+len(batch)])
	if q.head += len(batch); q.head == len(q.order) {
		q.order, q.head = q.order[:0], 0
	}
	q.sent = len(batch)
	return batch
}

// settle ends what take began. A batch that was not delivered goes back; what
// was heard again meanwhile is there already. It fits in unless others took the
// room.
func (q *queue) settle(batch []string, delivered bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent = 0
	if delivered {
		return
	}
	for _, w := range batch {
		q.push(w)
	}
}

// len returns how many witnesses wait or are under way.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.in) + q.sent
}
