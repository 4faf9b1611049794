package verdict

import (
	"maps"
	"path"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// free are the kinds of support of a release that every host of it has.
var free = []string{"regular", "lts"}

// Support takes until when releases and packages get fixes, by precedence of the sources.
func (f *Fleet) Support(support []intake.Support, now time.Time) {
	until := map[string]time.Time{}
	f.limits = nil
	for _, s := range support {
		switch {
		case s.Package != "" && (s.Kind == "limited" || !now.Before(s.Until)):
			f.limits = append(f.limits, s)
		case s.Package == "" && slices.Contains(free, s.Kind) && s.Until.After(until[s.Release]):
			until[s.Release] = s.Until
		}
	}
	maps.DeleteFunc(until, func(_ string, end time.Time) bool { return now.Before(end) })
	if !maps.Equal(f.ended, until) {
		f.ended = until
		f.changes++
	}
}

// unsupported says why the vendor makes no fix of a package, in a clause; empty where nothing tells of an end.
func (f *Fleet) unsupported(release, source string) string {
	if end, ended := f.ended[release]; ended {
		return "; no fixes are made any more: support of " + release + " ended on " + end.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	for _, s := range f.limits {
		if match, err := path.Match(s.Package, source); !match || err != nil || s.Release != "" && s.Release != release {
			continue
		}
		if s.Kind == "limited" {
			return "; support of " + source + " is limited"
		}
		return "; no fixes are made any more: support of " + source + " in " + release + " ended on " + s.Until.Format(time.DateOnly)
	}
	return ""
}

// verdict judges a holding, and says of what has no fix whether one is to come. s is the statement that gave the verdict.
func (f *Fleet) verdict(p *pair, l lead) (v Verdict, s intake.Statement) {
	s = p.book.statements[l.statement]
	v = p.judge(s)
	if v.Status == NotAffected && l.beside >= 0 {
		s = p.book.statements[l.beside]
		v = p.judge(s)
	}
	if s.Status == intake.Open && v.Status == Affected {
		v.Reason += f.unsupported(p.release, p.source)
	}
	return v, s
}

// Ended gives the hosts of releases whose support ended, sorted.
func (f *Fleet) Ended() []string {
	return f.hostsOf(func(release string) bool { _, ended := f.ended[release]; return ended })
}
