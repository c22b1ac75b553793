package probe

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxReply is how long a reply of Redis may be that is one line.
const maxReply = 512

// replyError is an error that Redis replies with, in its words: a code in
// capitals, and a text.
type replyError string

func (e replyError) Error() string { return string(e) }

// aboutPassword reports whether the reply means a wrong password, or one that
// is missing or that is not wanted. Before Redis 6 there was no code for it.
func (e replyError) aboutPassword() bool {
	for _, start := range []string{"WRONGPASS", "NOAUTH", "ERR invalid password", "ERR AUTH", "ERR Client sent AUTH"} {
		if strings.HasPrefix(string(e), start) {
			return true
		}
	}
	return false
}

// array returns args as Redis takes a command.
func array(args ...string) string {
	var b strings.Builder
	b.WriteString("*" + strconv.Itoa(len(args)) + "\r\n")
	for _, a := range args {
		b.WriteString("$" + strconv.Itoa(len(a)) + "\r\n" + a + "\r\n")
	}
	return b.String()
}

// readReply reads a reply that is one line, as those to AUTH and PING are: its
// first byte, + of a good one or - of an error, and its text. r must hold
// maxReply bytes and no more.
func readReply(r *bufio.Reader) (kind byte, text string, err error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return 0, "", fmt.Errorf("no line within %d bytes", r.Size())
	case err != nil:
		return 0, "", err
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok || text == "" {
		return 0, "", errors.New("not what a Redis server says")
	}
	return text[0], text[1:], nil
}
