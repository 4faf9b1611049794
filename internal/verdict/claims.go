package verdict

import (
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// speaks says whether a vendor says it.
func speaks(s intake.Statement) bool { return !s.Claim }

// warns says whether a claim is heard where no vendor speaks: that nothing is affected is taken from nobody else.
func warns(s intake.Statement) bool { return s.Claim && s.Status != intake.NotAffected }

// judging is lead without the claims, or where no vendor speaks with the warnings alone: a claim about a source package does not go
// before what the vendor says of its binaries.
func (l lens) judging(all []intake.Statement, base int) (lead, bool) {
	if !slices.ContainsFunc(all, func(s intake.Statement) bool { return s.Claim }) {
		return l.lead(all, base)
	}
	for _, heard := range []func(intake.Statement) bool{speaks, warns} {
		var of []intake.Statement
		var at []int
		for i, s := range all {
			if heard(s) {
				of, at = append(of, s), append(at, base+i)
			}
		}
		if found, ok := l.lead(of, 0); ok {
			found.statement = at[found.statement]
			if found.beside >= 0 {
				found.beside = at[found.beside]
			}
			return found, true
		}
	}
	return lead{}, false
}
