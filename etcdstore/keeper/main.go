package keeper

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/musterhq/muster/etcdstore/embedded"
)

// lastWords is how long the etcd may take to end once nobody needs it any more.
// It loses nothing when it is cut short: what it has acknowledged is in its log.
const lastWords = 1500 * time.Millisecond

// Main runs an etcd for a [Keeper], which is the process at the other end of the
// streams: its settings come from stdin, as a line of JSON, it says on stdout
// that it is ready or why it failed, and logs on stderr. It runs until stdin
// ends, which is also how it hears of the Keeper's death, however violent, and
// returns the exit code within 2 s.
//
// SIGINT and SIGTERM it leaves to the Keeper, which still needs its etcd while it
// winds up: terminals and service managers signal all processes at once.
func Main(stdin io.Reader, stdout, stderr io.Writer) int {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	in := bufio.NewReader(stdin)
	cfg, err := readSettings(in)
	if err != nil {
		fmt.Fprintln(stdout, wordFailed+oneLine(err))
		return 1
	}
	cfg.Logger = slog.New(slog.NewJSONHandler(stderr, nil))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan int, 1)
	go func() { ended <- serve(ctx, cfg, stdout) }()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, in) // an error is an end, too
	}()
	select {
	case code := <-ended:
		return code
	case <-gone:
	}
	cancel()
	select {
	case code := <-ended:
		return code
	case <-time.After(lastWords):
		return 0
	}
}

func readSettings(in *bufio.Reader) (cfg embedded.Config, err error) {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return cfg, fmt.Errorf("read the settings: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&cfg); err != nil {
		return cfg, fmt.Errorf("read the settings: %w", err)
	}
	return cfg, cfg.Check()
}

// serve runs the etcd until ctx ends, and returns the exit code.
func serve(ctx context.Context, cfg embedded.Config, stdout io.Writer) int {
	e, err := embedded.Start(ctx, cfg)
	if err == nil {
		fmt.Fprintln(stdout, wordReady)
		select {
		case <-ctx.Done():
		case err = <-e.Err():
		}
		err = errors.Join(err, e.Close())
	}
	switch {
	case err == nil, ctx.Err() != nil:
		return 0
	case errors.Is(err, embedded.ErrRemoved):
		fmt.Fprintln(stdout, wordRemoved+oneLine(err))
	default:
		fmt.Fprintln(stdout, wordFailed+oneLine(err))
	}
	return 1
}

// oneLine returns the text of err as one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
