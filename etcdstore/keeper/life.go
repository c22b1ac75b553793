package keeper

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What the etcd process says on its standard output, a line each. The last two
// are followed by the reason.
const (
	wordReady   = "ready"
	wordFailed  = "failed: "
	wordRemoved = "removed: "
)

// maxLine bounds what is kept of a line that the process wrote.
const maxLine = 64 << 10

// death is how a life of the etcd process ended.
type death struct {
	served  time.Duration // since it was ready, 0 if it never was
	failed  string        // what it gave as its reason, if it did
	removed bool          // its cluster does not know it any more
	last    string        // last error it logged
	output  string        // what it wrote besides: a Go trace
	exit    string        // exit code or signal
	killed  bool          // by a signal
}

// reason returns the best known reason of the death.
func (d death) reason() string {
	if d.killed {
		return d.exit // whatever it had said before
	}
	return cmp.Or(d.failed, d.last, d.exit)
}

// live starts the process and returns when it has ended. It ends when ctx does.
func (k *Keeper) live(ctx context.Context) (end death) {
	cmd := exec.CommandContext(ctx, k.cfg.Command[0], k.cfg.Command[1:]...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return death{failed: err.Error()}
	}
	cmd.Cancel = stdin.Close
	cmd.WaitDelay = stopTimeout
	var streams sync.WaitGroup
	stdout, outEnd := io.Pipe()
	stderr, errEnd := io.Pipe()
	cmd.Stdout, cmd.Stderr = outEnd, errEnd
	if err := cmd.Start(); err != nil {
		return death{failed: err.Error()}
	}
	k.pid.Store(int64(cmd.Process.Pid))
	var ready time.Time
	var heard hearing
	streams.Go(func() {
		eachLine(stdout, func(line []byte) {
			text := string(line)
			switch {
			case text == wordReady:
				ready = time.Now()
				k.serving()
			case strings.HasPrefix(text, wordRemoved):
				end.removed = true
			case strings.HasPrefix(text, wordFailed):
				end.failed = strings.TrimPrefix(text, wordFailed)
			}
		})
	})
	streams.Go(func() { eachLine(stderr, func(line []byte) { heard.line(k.log.Handler(), line) }) })
	// Its end is seen below, also if it was too dead to read this.
	_ = json.NewEncoder(stdin).Encode(k.cfg.Etcd)
	err = cmd.Wait()
	k.pid.Store(0)
	k.up.Set(0)
	outEnd.Close()
	errEnd.Close()
	streams.Wait()
	if !ready.IsZero() {
		end.served = time.Since(ready)
	}
	end.last, end.output = heard.last, heard.raw.String()
	end.exit, end.killed = ending(cmd.ProcessState, err)
	return end
}

// ending returns how the process ended, and whether a signal did it.
func ending(state *os.ProcessState, err error) (exit string, killed bool) {
	if state == nil {
		return fmt.Sprint(err), false
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	return state.String(), ok && status.Signaled()
}

// eachLine hands on all lines of r without their ends, the first maxLine bytes
// of each, and reads r to its end.
func eachLine(r io.Reader, handle func(line []byte)) {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			handle(line)
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}
