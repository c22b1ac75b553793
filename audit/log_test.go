package audit_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/musterhq/muster/audit"
)

// open opens a log in a directory, and closes it at the end of the test.
func open(t *testing.T, cfg audit.Config) *audit.Log {
	t.Helper()
	l, err := audit.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func done(name string) audit.Event {
	return audit.Event{Op: "put-service", Kind: "user", Who: "ann", From: "192.0.2.1", Namespace: "public", Group: "DEFAULT_GROUP", Name: name, Result: audit.Done, Status: 200, Revision: 7}
}

// ops returns the operations and names of all records of a log, oldest first.
func ops(t *testing.T, dir string) []string {
	t.Helper()
	page, err := audit.Find(dir, audit.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range slices.Backward(page.Records) {
		all = append(all, strings.TrimSpace(r.Op+" "+r.Name))
	}
	return all
}

func sound(t *testing.T, dir string, known ...audit.Head) audit.Report {
	t.Helper()
	report, err := audit.Verify(dir, known...)
	if err != nil || !report.OK() {
		t.Fatalf("Verify = %+v, %v, want nothing wrong", report, err)
	}
	return report
}

func TestLogGoesOnWhereItWasClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	for _, name := range []string{"one", "two"} {
		l := open(t, audit.Config{Dir: dir, Server: "s1"})
		l.Append(done(name))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("Close again = %v", err)
		}
		l.Append(done("late")) // lost, and harmless
	}
	want := []string{"audit-begin s1", "put-service one", "audit-end", "audit-begin s1", "put-service two", "audit-end"}
	if got := ops(t, dir); !slices.Equal(got, want) {
		t.Errorf("records = %q, want %q", got, want)
	}
	if r := sound(t, dir); r.Files != 1 || r.Records != 6 || r.Head.Seq != 6 {
		t.Errorf("Verify = %+v", r)
	}
	page, _ := audit.Find(dir, audit.Query{Op: audit.OpBegin})
	if page.Records[0].Why != "" {
		t.Errorf("the second beginning says %q", page.Records[0].Why)
	}
	info, err := os.Stat(filepath.Join(dir, audit.FileName(1)))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v, want 0600", info.Mode(), err)
	}
}

// Who replaces the file that is written to has what comes from then on in another one, and
// finds told what he did.
func TestFileThatIsReplacedOrRemoved(t *testing.T) {
	for name, vanish := range map[string]func(path string) error{
		"replaced": func(path string) error { // as sed -i does
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(path+".new", text, 0o600), os.Rename(path+".new", path))
		},
		"removed": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, audit.Config{Dir: dir, Server: "s1"})
			l.Append(done("one"))
			first := audit.FileName(1)
			if err := vanish(filepath.Join(dir, first)); err != nil {
				t.Fatal(err)
			}
			l.Append(done("lost")) // nobody has noticed yet
			audit.Flush(l)
			audit.Flush(l) // it is told once
			l.Append(done("two"))
			page, err := audit.Find(dir, audit.Query{Op: audit.OpGone})
			if err != nil || len(page.Records) != 1 || page.Records[0].Item != first || page.Records[0].Seq != 4 {
				t.Fatalf("Find = %+v, %v, want one record, the fourth, that names %s", page.Records, err, first)
			}
			if got := ops(t, dir); !slices.Equal(got[len(got)-2:], []string{"audit-gone", "put-service two"}) {
				t.Errorf("records = %q, want those that came after it", got)
			}
			report, err := l.Verify()
			if err != nil || report.OK() || report.Head.Seq != 5 {
				t.Errorf("Verify = %+v, %v, want what is missing, and 5 for the last", report, err)
			}
		})
	}
}

func TestManyWriters(t *testing.T) {
	dir := t.TempDir()
	metrics := prometheus.NewRegistry()
	l := open(t, audit.Config{Dir: dir, MaxSize: 64 << 10, Registerer: metrics})
	const writers, each = 16, 200
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				l.Append(done(fmt.Sprintf("%d-%d", w, i)))
			}
		})
	}
	for range 20 { // a look at it while it grows finds nothing wrong either
		if report, err := l.Verify(); err != nil || !report.OK() {
			t.Fatalf("Verify = %+v, %v", report, err)
		}
	}
	all.Wait()
	head := l.Head()
	if head.Seq != writers*each+1 {
		t.Errorf("head = %d, want %d: nobody returns before his record is written", head.Seq, writers*each+1)
	}
	r := sound(t, dir, head)
	if r.Records != writers*each+1 || r.Files < 3 {
		t.Errorf("Verify = %+v, want %d records in several files", r, writers*each+1)
	}
	page, err := l.Find(audit.Query{Limit: 7, Name: "3-150"})
	if err != nil || len(page.Records) != 1 || page.Records[0].Who != "ann" {
		t.Errorf("Find = %+v, %v", page, err)
	}
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(fmt.Sprintf(
		"# HELP muster_audit_head Number of the last record of the audit log that was written: a log that ends before it was cut.\n# TYPE muster_audit_head gauge\nmuster_audit_head %d\n", head.Seq)), "muster_audit_head"); err != nil {
		t.Error(err)
	}
}

func TestTornRecordIsTold(t *testing.T) {
	for _, tc := range []struct {
		name, tail string
		want       []string
	}{
		{"half a record", `{"seq":3,"at":"2026-`, []string{"audit-begin", "put-service one", "audit-torn", "audit-begin", "put-service two", "audit-end"}},
		{"a block that the file system never filled", strings.Repeat("\x00", 4096), []string{"audit-begin", "put-service one", "audit-torn", "audit-begin", "put-service two", "audit-end"}},
		{"nothing", "", []string{"audit-begin", "put-service one", "audit-begin", "put-service two", "audit-end"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, audit.FileName(1))
			killed(t, dir, done("one"))
			edit(t, path, func(b []byte) []byte { return append(b, tc.tail...) })
			if report, err := audit.Verify(dir); err != nil || report.OK() != (tc.tail == "") {
				t.Errorf("Verify = %+v, %v", report, err)
			}
			l := open(t, audit.Config{Dir: dir})
			l.Append(done("two"))
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if got := ops(t, dir); !slices.Equal(got, tc.want) {
				t.Errorf("records = %q, want %q", got, tc.want)
			}
			sound(t, dir)
			page, _ := audit.Find(dir, audit.Query{Op: audit.OpBegin, Limit: 1})
			if page.Records[0].Why != "the log was not closed before" {
				t.Errorf("the beginning says %q", page.Records[0].Why)
			}
		})
	}
}

// killed leaves a log as a process does that is killed: without an end.
func killed(t *testing.T, dir string, events ...audit.Event) {
	t.Helper()
	l := open(t, audit.Config{Dir: dir})
	for _, e := range events {
		l.Append(e)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string][]byte{}
	for _, f := range files {
		if kept[f], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for f, content := range kept {
		if err := os.WriteFile(f, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFileThatHoldsNothingWhole(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, audit.FileName(1)), []byte(`{"seq":1`), 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, audit.Config{Dir: dir})
	l.Append(done("one"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	sound(t, dir)
	if got, want := ops(t, dir), []string{"audit-torn", "audit-begin", "put-service one", "audit-end"}; !slices.Equal(got, want) {
		t.Errorf("records = %q, want %q", got, want)
	}
}

func TestLogGoesOnBehindDamage(t *testing.T) {
	dir := t.TempDir()
	killed(t, dir, done("one"), done("two"))
	edit(t, filepath.Join(dir, audit.FileName(1)), func(b []byte) []byte {
		return []byte(strings.Replace(string(b), `"name":"two"`, `"name":"too"`, 1))
	})
	l := open(t, audit.Config{Dir: dir})
	l.Append(done("three"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := audit.Verify(dir)
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Kind != audit.Changed || report.Findings[0].Seq != 3 || report.Records != 6 {
		t.Errorf("Verify = %+v, %v, want record 3 changed and no more", report, err)
	}
	page, _ := audit.Find(dir, audit.Query{Op: audit.OpBegin, Limit: 1})
	if page.Records[0].Why != "1 lines before are not sound" || page.Unsound != 1 {
		t.Errorf("the beginning says %q, and %d lines are not sound", page.Records[0].Why, page.Unsound)
	}
}

func TestOldRecordsGo(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Config{Dir: dir, MaxSize: 1, KeepDays: 30}) // a file for each record
	for _, name := range []string{"one", "two", "three"} {
		l.Append(done(name))
	}
	audit.Trim(l, time.Now().AddDate(0, 0, 29))
	if got := len(ops(t, dir)); got != 4 {
		t.Errorf("%d records after 29 days, want all 4", got)
	}
	audit.Trim(l, time.Now().AddDate(0, 0, 31))
	if got, want := ops(t, dir), []string{"put-service three", "audit-trim"}; !slices.Equal(got, want) {
		t.Errorf("records = %q, want %q", got, want)
	}
	if r := sound(t, dir, l.Head()); r.First != 4 {
		t.Errorf("Verify = %+v, want it to begin with record 4", r)
	}
	if err := os.Remove(filepath.Join(dir, audit.FileName(4))); err != nil {
		t.Fatal(err)
	}
	report, err := audit.Verify(dir)
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Kind != audit.Missing {
		t.Errorf("Verify without a file that did not go for its age = %+v, %v", report, err)
	}
}

func TestWhatRepeatsItselfIsCounted(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Config{Dir: dir})
	refused := audit.Event{Op: "beat-agent", Name: "a1", From: "192.0.2.9", Result: audit.Refused, Status: http.StatusUnauthorized}
	for range 5 {
		l.Append(refused)
	}
	l.Append(done("one"))
	l.Append(done("one")) // a change is recorded each time
	page, err := audit.Find(dir, audit.Query{Result: audit.Refused})
	if err != nil || len(page.Records) != 1 {
		t.Fatalf("Find = %+v, %v, want one", page, err)
	}
	soon := time.Now().Add(audit.RepeatEvery + time.Second)
	audit.TellRepeats(l, soon)
	audit.TellRepeats(l, soon.Add(time.Second))
	page, _ = audit.Find(dir, audit.Query{Result: audit.Refused})
	if len(page.Records) != 2 || page.Records[0].Times != 4 || page.Records[0].Name != "a1" {
		t.Errorf("Find = %+v, want that it has come 4 times more", page)
	}
	for i := range 2 * audit.MaxRepeats {
		refused.Name, refused.From = fmt.Sprint(i), fmt.Sprintf("192.0.2.%d", i%32)
		l.Append(refused)
	}
	if n := l.Head().Seq; n > audit.MaxRepeats+10 {
		t.Errorf("%d records, want about %d", n, audit.MaxRepeats)
	}
	audit.TellRepeats(l, soon.Add(2*audit.RepeatEvery))
	page, _ = audit.Find(dir, audit.Query{Op: audit.OpRepeat})
	if len(page.Records) != 1 || page.Records[0].Times < audit.MaxRepeats {
		t.Errorf("Find = %+v, want how many there were more", page)
	}
	sound(t, dir, l.Head())
}

// Who makes thousands of calls that come to nothing hides none that others make.
func TestNobodyHidesWhatOthersTry(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Config{Dir: dir})
	for i := range 2 * audit.MaxRepeats {
		l.Append(audit.Event{Op: "login", Kind: "user", Who: fmt.Sprint("u", i), From: fmt.Sprintf("2001:db8:0:1::%x", i), Result: audit.Refused, Status: http.StatusUnauthorized})
	}
	l.Append(audit.Event{Op: "login", Kind: "user", Who: "admin", From: "2001:db8:0:2::1", Result: audit.Refused, Status: http.StatusUnauthorized})
	if r := hiddenNothing(t, l, dir); r.From != "2001:db8:0:1::/64" {
		t.Errorf("the rest is counted as %+v, want it as of the network", r)
	}
}

// Nor does who sends datagrams, which come from where he says.
func TestDatagramsHideNothing(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Config{Dir: dir})
	for i := range 2 * audit.MaxRepeats {
		l.Append(audit.Event{Op: "dns-transfer", Kind: "anonymous", From: fmt.Sprintf("10.0.%d.%d", i/256, i%256), Unproved: true, Result: audit.Refused, Status: 5})
	}
	l.Append(audit.Event{Op: "login", Kind: "user", Who: "admin", From: "10.0.0.1", Result: audit.Refused, Status: http.StatusUnauthorized})
	if r := hiddenNothing(t, l, dir); r.From != "" || !strings.Contains(r.Why, "datagrams") {
		t.Errorf("the rest is counted as %+v, want it as of datagrams", r)
	}
}

// hiddenNothing checks a log after 2*MaxRepeats different refusals of one sender and one of
// admin, and returns the record that counts those of the sender that were more than are
// recorded.
func hiddenNothing(t *testing.T, l *audit.Log, dir string) audit.Record {
	t.Helper()
	page, err := audit.Find(dir, audit.Query{Who: "admin"})
	if err != nil || len(page.Records) != 1 {
		t.Errorf("Find = %+v, %v, want what another one tried", page, err)
	}
	if n := l.Head().Seq; n > audit.MaxOfNetwork+10 {
		t.Errorf("%d records, want about %d", n, audit.MaxOfNetwork)
	}
	audit.TellRepeats(l, time.Now().Add(2*audit.RepeatEvery))
	page, err = audit.Find(dir, audit.Query{Op: audit.OpRepeat})
	if err != nil || len(page.Records) != 1 || page.Records[0].Times != 2*audit.MaxRepeats-audit.MaxOfNetwork {
		t.Fatalf("Find = %+v, %v, want how many there were more", page, err)
	}
	sound(t, dir, l.Head())
	return page.Records[0]
}

func TestLongTextsAreCut(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Config{Dir: dir})
	e := done(strings.Repeat("ä\n", audit.MaxText))
	e.Who, e.Why = strings.Repeat("\x00", 5000), "\xff\xfe"
	l.Append(e)
	if r := sound(t, dir, l.Head()); r.Records != 2 {
		t.Errorf("Verify = %+v", r)
	}
	page, _ := audit.Find(dir, audit.Query{Limit: 1})
	if n := len(page.Records[0].Name); n > audit.MaxText+3 || page.Unsound > 0 {
		t.Errorf("a name of %d bytes, %d unsound", n, page.Unsound)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	l := open(t, audit.Config{Dir: dir, MaxSize: 2000})
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 100 {
		e := done(fmt.Sprint(i))
		e.At = began.Add(time.Duration(i) * time.Minute)
		if i%10 == 0 {
			e.Who, e.Result = "bob", audit.Refused
		}
		l.Append(e)
	}
	for _, tc := range []struct {
		name string
		q    audit.Query
		want string
	}{
		{"the newest", audit.Query{Limit: 3}, "99 98 97"},
		{"the page after", audit.Query{Limit: 3, Before: 100}, "97 96 95"},
		{"who", audit.Query{Who: "bob", Limit: 3}, "90 80 70"},
		{"who and result", audit.Query{Who: "ann", Result: audit.Refused}, ""},
		{"a time", audit.Query{Since: began.Add(5 * time.Minute), Until: began.Add(7 * time.Minute)}, "6 5"},
		{"what", audit.Query{Op: "put-service", Namespace: "public", Group: "DEFAULT_GROUP", Name: "42"}, "42"},
		{"from where", audit.Query{From: "192.0.2.2"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			page, err := audit.Find(dir, tc.q)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, r := range page.Records {
				names = append(names, r.Name)
			}
			if got := strings.Join(names, " "); got != tc.want {
				t.Errorf("Find(%+v) = %q, want %q", tc.q, got, tc.want)
			}
		})
	}
}

// What others put into the directory does not stop the log.
func TestLogGoesOnWhateverLiesThere(t *testing.T) {
	t.Run("lines that are no records", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, audit.FileName(1)), []byte("what?\nindeed\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		l := open(t, audit.Config{Dir: dir})
		l.Append(done("one"))
		if err := l.Failing(); err != nil {
			t.Errorf("Failing = %v", err)
		}
		report, err := l.Verify()
		if got, want := brief(report), []string{"unreadable 1 0", "unreadable 2 0"}; err != nil || !slices.Equal(got, want) || report.Records != 2 {
			t.Errorf("Verify = %+v, %v, want %q and two records", report, err, want)
		}
	})
	t.Run("the file that is to come", func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, audit.Config{Dir: dir, MaxSize: 1})
		if err := os.WriteFile(filepath.Join(dir, audit.FileName(2)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l.Append(done("one"))
		l.Append(done("two"))
		if err := l.Failing(); err != nil {
			t.Errorf("Failing = %v", err)
		}
		if r := sound(t, dir, l.Head()); r.Records != 3 {
			t.Errorf("Verify = %+v, want three records", r)
		}
	})
	t.Run("nothing any more", func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, audit.Config{Dir: dir})
		if err := os.Remove(filepath.Join(dir, audit.FileName(1))); err != nil {
			t.Fatal(err)
		}
		report, err := l.Verify()
		if got, want := brief(report), []string{"cut 0 1"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("Verify = %+v, %v, want %q", report, err, want)
		}
	})
}

// BenchmarkAppend is what a record costs a call, with many at once.
func BenchmarkAppend(b *testing.B) {
	l, err := audit.Open(audit.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	e := done("orders")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Append(e)
		}
	})
}

// TestPartsOfACall has many more parts than are written at once, and holds that each is
// there once, in order, and names its call.
func TestPartsOfACall(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, audit.Config{Dir: dir, Server: "s"})
	l.Append(done("before"))
	const n = 1500
	parts := make([]audit.Part, n)
	for i := range parts {
		parts[i] = audit.Part{Namespace: "dev", Group: "g", Name: fmt.Sprintf("doc-%d", i), Change: audit.Put}
	}
	parts[n-1].Change = audit.Delete
	l.Append(done("set"), parts...)
	failed := done("set")
	failed.Result, failed.Status = audit.Failed, http.StatusConflict
	l.Append(failed, parts[:1]...)
	page, err := audit.Find(dir, audit.Query{Name: "set"})
	if err != nil || len(page.Records) != 2 {
		t.Fatalf("Find = %d records of calls, %v, want 2", len(page.Records), err)
	}
	call := page.Records[1]
	page, err = audit.Find(dir, audit.Query{Call: call.Seq})
	if err != nil || len(page.Records) != n+1 {
		t.Fatalf("Find of the call = %d records, %v, want %d", len(page.Records), err, n+1)
	}
	half, err := audit.Find(dir, audit.Query{Call: call.Seq + n + 1})
	if err != nil || len(half.Records) != 2 || half.Records[1].Result != audit.Failed || half.Records[0].Result != audit.Done {
		t.Errorf("of a call that failed half way are there %+v, %v", half.Records, err)
	}
	slices.Reverse(page.Records)
	for i, r := range page.Records[1:] {
		if p := parts[i]; r.Result != audit.Done || r.Name != p.Name || r.Namespace != p.Namespace || r.Change != p.Change || r.Call != call.Seq || r.Who != "ann" || r.Revision != 7 || !r.At.Equal(call.At) {
			t.Fatalf("part %d = %+v, want %+v of call %d", i, r, p, call.Seq)
		}
	}
	sound(t, dir)
}
