package nacos

// agenda are subscriptions by when they are due.
type agenda []*subscription

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at < a[j].at }
func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = int32(i), int32(j)
}

// Push implements heap.Interface.
func (a *agenda) Push(x any) {
	s := x.(*subscription)
	s.place = int32(len(*a))
	*a = append(*a, s)
}

// Pop implements heap.Interface.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	s := (*a)[last]
	s.place = -1
	(*a)[last] = nil
	*a = (*a)[:last]
	return s
}
