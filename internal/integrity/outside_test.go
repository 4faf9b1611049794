package integrity

import (
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

// TestWhatIsTooMuchToTellStaysTold: that more paths differ than can be told is a line about the top, which other lines about it neither
// hide nor call changed back.
func TestWhatIsTooMuchToTellStaysTold(t *testing.T) {
	report := func(l explain.Line) explain.Report {
		l.Path, l.Verdict = "/", explain.Unexplained
		return explain.Report{Host: "hst_a", Counts: map[explain.Verdict]int{explain.Unexplained: 1}, Lines: []explain.Line{l}}
	}
	many := report(explain.Line{Why: "30,000 paths differ"})
	top := report(explain.Line{Why: "changed while no order ran", Before: &filetree.Entry{Mode: 0o755}, After: &filetree.Entry{Mode: 0o777}})
	for name, c := range map[string][2]explain.Report{"again": {many, many}, "after the top": {top, many}, "before the top": {many, top}} {
		if got := together(c[0], c[1]).Lines[0].Why; got != "30,000 paths differ" {
			t.Errorf("%s: %s", name, got)
		}
	}
	came, went := report(explain.Line{After: &filetree.Entry{}}), report(explain.Line{Before: &filetree.Entry{}})
	came.Lines[0].Path, went.Lines[0].Path = "/etc/x", "/etc/x"
	if l := together(*together(came, went), came).Lines[0]; l.Before != nil || l.After == nil {
		t.Errorf("came, went and came again: %+v", l)
	}
}
