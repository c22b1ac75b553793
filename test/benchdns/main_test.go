// Package benchdns_test measures what a DNS answer costs: Muster beside servers of other
// makes, on one machine, with the same zone and the same questions.
package benchdns_test

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/test/binary"
)

var (
	outFlag         = flag.String("benchdns.out", "", "measure all, and leave what was measured in this folder; without it this is a short test of the measuring")
	roundsFlag      = flag.Int("benchdns.rounds", 5, "how many times to measure everything")
	lengthFlag      = flag.Duration("benchdns.length", 1500*time.Millisecond, "how long each measurement is")
	mixesFlag       = flag.String("benchdns.mixes", "A,SRV,NXDOMAIN", "what to ask for")
	contestantsFlag = flag.String("benchdns.contestants", "echo,muster,nsd,knot,coredns-file,coredns-etcd,consul", "whom to ask")
	placementsFlag  = flag.String("benchdns.placements", pinned+","+unpinned, "where servers and load run")
	loadsFlag       = flag.String("benchdns.loads", "blast,dnsperf,"+light, "how to ask")
	othersFlag      = flag.Float64("benchdns.others", 0.3, "how many processors others may use while something is measured, for it to count")
	overloadFlag    = flag.Duration("benchdns.overload", 0, "overload the server for so long, and hold it to what it is to do on a machine of its own")
	baselineFlag    = flag.String("benchdns.baseline", "", "another muster to compare with")
)

// root is the folder of the module, seen from this package.
const root = "../.."

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(binary.Main(m, root))
}

// listed returns the names of a flag.
func listed(names string) []string {
	return strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' })
}
