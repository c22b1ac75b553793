package audit

import (
	"slices"
	"strings"
	"time"
)

// Query says which records are asked for; what is empty admits all.
type Query struct {
	Since, Until time.Time // the first is within, the second is not
	Op           string
	Who, From    string
	Namespace    string
	Group        string
	Name         string
	Result       Result
	Call         uint64 // only the record of this number and those of its parts
	Before       uint64 // only records with a lower number
	Limit        int    // at most so many, the newest; 0: all
}

func (q Query) admits(r Record) bool {
	for _, f := range [][2]string{{q.Op, r.Op}, {q.Who, r.Who}, {q.From, r.From}, {q.Namespace, r.Namespace}, {q.Group, r.Group}, {q.Name, r.Name}, {string(q.Result), string(r.Result)}} {
		if f[0] != "" && !strings.EqualFold(f[0], f[1]) {
			return false
		}
	}
	if q.Call != 0 && q.Call != r.Seq && q.Call != r.Call {
		return false
	}
	return (q.Before == 0 || r.Seq < q.Before) && !r.At.Before(q.Since) && (q.Until.IsZero() || r.At.Before(q.Until))
}

// Page is what a query found, the newest first.
type Page struct {
	Records []Record
	Unsound int // lines among those looked at that are no sound records: Verify says which
}

// Find returns the records of a log that are asked for.
func Find(dir string, q Query) (Page, error) {
	all, err := filesOf(dir)
	if err != nil {
		return Page{}, err
	}
	return find(all, q)
}

// Find returns the records of this log that are asked for.
func (l *Log) Find(q Query) (Page, error) {
	all, err := l.extent()
	if err != nil {
		return Page{}, err
	}
	return find(all, q)
}

// find looks from the newest file on, each from its beginning.
func find(all []file, q Query) (Page, error) {
	var page Page
	for i := len(all) - 1; i >= 0 && (q.Limit <= 0 || len(page.Records) < q.Limit); i-- {
		if q.Before > 0 && all[i].first >= q.Before {
			continue
		}
		var found []Record
		unsound, err := all[i].records(func(r Record) bool {
			if q.admits(r) {
				found = append(found, r)
				if room := q.Limit - len(page.Records); q.Limit > 0 && len(found) >= 2*room+64 {
					found = append(found[:0], found[len(found)-room:]...)
				}
			}
			return true
		})
		if err != nil {
			return page, err
		}
		page.Unsound += unsound
		slices.Reverse(found)
		page.Records = append(page.Records, found...)
		if first, ok, err := all[i].firstOf(); err != nil || ok && first.At.Before(q.Since) {
			break // older files hold what is older
		}
	}
	if q.Limit > 0 && len(page.Records) > q.Limit {
		page.Records = page.Records[:q.Limit]
	}
	return page, nil
}
