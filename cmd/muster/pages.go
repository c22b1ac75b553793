package main

import (
	"context"
	"time"
)

// pageSize is how many entries a list asks for at a time.
const pageSize = 1000

// every collects the pages of a list until as many entries have come as there
// are in all.
func every[T any](page func(number int) (entries []T, total int, err error)) ([]T, error) {
	all := []T{}
	for number := 1; ; number++ {
		entries, total, err := page(number)
		if err != nil {
			return nil, err
		}
		if all = append(all, entries...); len(all) >= total || len(entries) == 0 {
			return all, nil
		}
	}
}

// withoutCancel returns a context for what must still be done when ctx has
// ended, bounded in time.
func withoutCancel(ctx context.Context, bound time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bound)
	context.AfterFunc(ctx, cancel)
	return ctx
}
