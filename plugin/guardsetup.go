package plugin

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/musterhq/muster/internal/cookie"
	"github.com/musterhq/muster/internal/ratelimit"
)

// cookies takes in whether there are cookies, or the secrets they are made with.
func (s *settings) cookies(args []string) error {
	if len(args) == 1 && (args[0] == "on" || args[0] == "off") {
		s.noCookies = args[0] == "off"
		return nil
	}
	for _, arg := range args {
		secret, err := hex.DecodeString(arg)
		if err != nil || len(secret) != 16 {
			return errors.New("want on, off, or secrets of 32 hex digits each") // without the secret
		}
		s.secrets = append(s.secrets, [16]byte(secret))
	}
	if len(args) == 0 {
		return errors.New("want on, off, or secrets of 32 hex digits each")
	}
	return nil
}

func (s *settings) jar() *cookie.Jar {
	switch {
	case s.noCookies:
		return nil
	case len(s.secrets) > 0:
		return cookie.New(s.secrets...)
	}
	return cookie.New(ownSecret())
}

// defaultSlip is the one that BIND and Knot have made usual.
const defaultSlip = 2

// rateLimit takes in how many responses a network may have.
func (s *settings) rateLimit(args []string) error {
	if len(args)%2 != 1 {
		return errors.New("want a number of responses a second, and then pairs of a word and a number")
	}
	rate, err := number(args[:1], 1, ratelimit.MaxRate)
	if err != nil {
		return err
	}
	c := &ratelimit.Config{Rate: int(rate), Slip: defaultSlip}
	for i := 1; i < len(args); i += 2 {
		n, err := strconv.ParseUint(args[i+1], 10, 31)
		if err != nil || n == 0 && args[i] != "slip" {
			return fmt.Errorf("%s: want a whole number, above 0 but for slip, not %q", args[i], args[i+1])
		}
		switch args[i] {
		case "slip":
			c.Slip = int(n)
		case "window":
			c.Window = time.Duration(n) * time.Second
		case "networks":
			c.Buckets = int(n)
		case "ipv4":
			c.IPv4 = int(n)
		case "ipv6":
			c.IPv6 = int(n)
		default:
			return fmt.Errorf("%q is none of %s", args[i], strings.Join([]string{"slip", "window", "networks", "ipv4", "ipv6"}, ", "))
		}
	}
	s.limit = c
	return nil
}

func (s *settings) limiter() (*ratelimit.Limiter, error) {
	switch {
	case s.limit == nil && s.exempt != nil:
		return nil, errors.New("rate_exempt: there is no rate_limit to be exempt from")
	case s.limit == nil:
		return nil, nil
	}
	s.limit.Exempt = s.exempt
	limiter, err := ratelimit.New(*s.limit)
	if err != nil {
		return nil, fmt.Errorf("rate_limit: %w", err)
	}
	return limiter, nil
}
