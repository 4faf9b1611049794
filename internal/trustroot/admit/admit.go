// Package admit says which signatures a server takes and which it waits for. A host counts them once they are all there.
package admit

import (
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// Person refuses (SCOPE) the signature of someone whose roles would fill one of the seats, but not for what touches hosts at
// these places. Who has none of the roles is not refused here: their signature counts nowhere.
func Person(seats [][]string, p trustroot.Person, places ...trustroot.Place) error {
	anywhere := p
	anywhere.Scopes = nil
	if fills(seats, anywhere, places) && !fills(seats, p, places) {
		return fault.Refuse(fault.Scope, "%s may not sign this: it touches hosts outside the scope of their roles", p.ID)
	}
	return nil
}

func fills(seats [][]string, p trustroot.Person, places []trustroot.Place) bool {
	return slices.ContainsFunc(seats, func(seat []string) bool {
		return trustroot.Seated([][]string{seat}, []trustroot.Approval{{Person: p}}, places...)
	})
}

// Lacking reports whether a refusal of a quorum only says that signatures are still missing.
func Lacking(err error) bool {
	return slices.Contains([]string{fault.Quorum, fault.Local, fault.Author, fault.Scope}, fault.CodeOf(err))
}
