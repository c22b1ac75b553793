package syntax

// Hasty returns a Judge that gives up a tenth of the way: the race detector makes
// the whole of it long.
func Hasty() *Judge { return &Judge{schemas: cache{steps: maxSteps / 10}} }
