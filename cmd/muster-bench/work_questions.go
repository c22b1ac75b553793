package main

import (
	"bufio"
	"fmt"

	"github.com/miekg/dns"
	"github.com/urfave/cli/v2"
)

func questionsCommand() *cli.Command {
	return &cli.Command{Name: "questions", Usage: "write DNS questions for the services, as dnsperf reads them",
		Flags: concat(rosterFlags(1), []cli.Flag{
			&cli.IntFlag{Name: "count", Value: 100_000, Usage: "`NUMBER` of questions"},
			&cli.StringFlag{Name: "type", Value: "A", Usage: "`TYPE` of the questions: A, AAAA or SRV"},
			&cli.StringFlag{Name: "zone", Value: "muster.internal", Usage: "`ZONE` of the server"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "`NUMBER` that random choices follow from"}}),
		Action: writeQuestions}
}

func writeQuestions(c *cli.Context) error {
	if err := noNames(c); err != nil {
		return err
	}
	r, err := rosterOf(c)
	if err != nil {
		return err
	}
	count, err := number(c, "count", 10_000_000)
	if err != nil {
		return err
	}
	qtype := c.String("type")
	if qtype != "A" && qtype != "AAAA" && qtype != "SRV" {
		return usagef("type %q is not one of A, AAAA, SRV", qtype)
	}
	zone := dns.Fqdn(c.String("zone"))
	w := bufio.NewWriter(c.App.Writer)
	for n := range count {
		s := draw(c.Uint64("seed"), int64(n), r.services)
		fmt.Fprintf(w, "%s.svc.%s %s\n", r.serviceName(s), zone, qtype)
	}
	return w.Flush()
}
