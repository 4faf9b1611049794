package intake

import (
	"cmp"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
)

// Lead sorts one source's statements by Compare and, among those about the same package and vulnerability: the ones without
// a condition first, then the one that decides before those it supersedes. Open comes before fixed and a higher fixed
// version before a lower one, because a later advisory corrects an earlier one; not affected comes last, so that of two
// records that contradict each other none clears. What several documents state alike is kept once, with the advisory
// that one of them names.
func Lead(statements []Statement) []Statement {
	slices.SortStableFunc(statements, lead)
	kept := statements[:0]
	for _, s := range statements {
		if n := len(kept); n > 0 && lead(kept[n-1], s) == 0 && kept[n-1].FixedVersion == s.FixedVersion {
			kept[n-1] = richer(kept[n-1], s)
			continue
		}
		kept = append(kept, s)
	}
	clear(statements[len(kept):])
	return kept
}

var rank = map[Status]int{Open: 1, Fixed: 2, Undetermined: 3, NotAffected: 4}

func lead(a, b Statement) int {
	order := cmp.Or(Compare(a, b), cmp.Compare(a.Condition, b.Condition), cmp.Compare(a.Module, b.Module), cmp.Compare(a.Scheme, b.Scheme), boolean(a.Binary)-boolean(b.Binary),
		cmp.Compare(rank[a.Status], rank[b.Status]))
	if order != 0 || a.Status != Fixed {
		return order
	}
	if a.Scheme == RPM {
		return rpm.Compare(b.FixedVersion, a.FixedVersion)
	}
	return deb.Compare(b.FixedVersion, a.FixedVersion)
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// richer joins two statements of the same claim; what only one of them says is kept.
func richer(a, b Statement) Statement {
	a.Advisory, a.Urgency = cmp.Or(a.Advisory, b.Advisory), cmp.Or(a.Urgency, b.Urgency)
	a.Expectation, a.Note = cmp.Or(a.Expectation, b.Expectation), cmp.Or(a.Note, b.Note)
	a.Vector, a.Description = cmp.Or(a.Vector, b.Vector), cmp.Or(a.Description, b.Description)
	return a
}
