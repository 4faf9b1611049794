// Package triage decides what matters: it judges every installed source package by what sources state, shows each distinct
// vulnerability with the hosts it affects, and keeps people's signed decisions about it.
package triage

import (
	"fmt"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// Status is the outcome of judging.
type Status string

const (
	Affected         Status = "affected"
	NotAffected      Status = "not-affected"
	Undetermined     Status = "undetermined"       // nobody can say from what is known; never a synonym of not affected
	FixedAfterReboot Status = "fixed-after-reboot" // the fix is installed, the old kernel still runs
)

// Verdict says whether a version of a source package has a vulnerability, and why.
type Verdict struct {
	Status Status `json:"status"`
	Fixed  string `json:"fixed_version,omitempty"` // version of the source package that brings the fix; empty: none is known
	Reason string `json:"reason"`                  // a sentence for people
}

// Judge applies one statement to an installed version of a source package (never of a binary one: their epochs and
// versions differ). Affected exactly when the version is older than the fixed one or the vendor has no fix. A backport
// (~bpo) is built from a later release, whose fixed versions this release's statement does not know, so only "older"
// says something about it.
func Judge(release, source, version string, s intake.Statement) Verdict {
	if s.Release != release || s.Package != source {
		return Verdict{Undetermined, "", fmt.Sprintf("the statement is about %s in %s, not %s in %s", s.Package, s.Release, source, release)}
	}
	switch s.Status {
	case intake.NotAffected:
		return Verdict{NotAffected, "", s.Source + ": no version in " + release + " was ever affected"}
	case intake.Open:
		return Verdict{Affected, "", s.Source + ": no fix in " + release + expectation(s)}
	case intake.Fixed:
		if err := deb.ValidVersion(version); err != nil {
			return Verdict{Undetermined, s.FixedVersion, "the installed version cannot be compared: " + err.Error()}
		}
		if deb.Compare(version, s.FixedVersion) < 0 {
			return Verdict{Affected, s.FixedVersion, fmt.Sprintf("%s: %s is older than the fix in %s", s.Source, version, s.FixedVersion)}
		}
		if Backport(version) {
			return Verdict{Undetermined, s.FixedVersion, fmt.Sprintf("%s knows no fixed version for backports such as %s", s.Source, version)}
		}
		return Verdict{NotAffected, s.FixedVersion, fmt.Sprintf("%s: %s has the fix of %s", s.Source, version, s.FixedVersion)}
	}
	if s.Note != "" {
		return Verdict{Undetermined, "", s.Source + ": " + s.Note}
	}
	return Verdict{Undetermined, "", s.Source + ": not determined by the vendor"}
}

// expectation tells what the vendor plans about an open vulnerability.
func expectation(s intake.Statement) string {
	text := ""
	if s.Expectation != "" {
		text = "; " + s.Expectation
		if s.Note != "" {
			text += " (" + s.Note + ")"
		}
	}
	if s.Urgency == "unimportant" {
		text += "; rated unimportant"
	}
	return text
}

// Backport reports whether a version was built for a release from a later one's source. Source: backports.debian.org,
// version suffix ~bpoN+M.
func Backport(version string) bool { return strings.Contains(version, "~bpo") }
