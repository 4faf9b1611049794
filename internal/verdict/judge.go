// Package verdict judges installed packages by what sources state: which host has which vulnerability, and why. It works in
// memory, asks nobody and keeps nothing; what is installed and stated, and now, come in.
package verdict

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
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
	Fixed  string `json:"fixed_version,omitempty"` // version of the package stated about that brings the fix; empty: none is known
	Reason string `json:"reason"`                  // a sentence for people
}

// Judge applies one statement to an installed version of the package it is about: of a source package, or of a binary one where
// the vendor names no source (their epochs and versions differ). Affected exactly when the version is older than the fixed one
// or the vendor has no fix. A fix to be had under a condition is a fix only where it is installed. A backport (~bpo) is built
// from a later release, whose fixed versions this release's statement does not know, so only "older" says something about it.
func Judge(release, name, version string, s intake.Statement) Verdict {
	if s.Release != release || s.Package != name {
		return Verdict{Undetermined, "", fmt.Sprintf("the statement is about %s in %s, not %s in %s", s.Package, s.Release, name, release)}
	}
	says := s.Source + ": "
	if s.Binary {
		says = s.Source + " of " + s.Package + ": "
	}
	switch s.Status {
	case intake.NotAffected:
		return Verdict{NotAffected, "", says + "no version in " + release + " was ever affected"}
	case intake.Open:
		return Verdict{Affected, "", says + "no fix in " + release + only(s, " for those with ") + expectation(s)}
	case intake.Fixed:
		return judgeFixed(version, s.FixedVersion, s)
	}
	return Verdict{Undetermined, "", says + cmp.Or(s.Note, "not determined by the vendor")}
}

// judgeFixed compares with fixed, which is the statement's fixed version or that without its epoch.
func judgeFixed(version, fixed string, s intake.Statement) Verdict {
	valid, compare := deb.ValidVersion, deb.Compare
	if s.Scheme == intake.RPM {
		valid, compare = rpm.ValidVersion, rpm.Compare
	}
	if err := valid(version); err != nil {
		return Verdict{Undetermined, s.FixedVersion, "the installed version cannot be compared: " + err.Error()}
	}
	what := version
	if s.Binary {
		what = s.Package + " " + version
	}
	if compare(version, fixed) < 0 {
		return Verdict{Affected, s.FixedVersion, fmt.Sprintf("%s: %s is older than the fix in %s%s", s.Source, what, s.FixedVersion, only(s, "; the fix is for those with "))}
	}
	if Backport(version) {
		return Verdict{Undetermined, s.FixedVersion, fmt.Sprintf("%s knows no fixed version for backports such as %s", s.Source, what)}
	}
	return Verdict{NotAffected, s.FixedVersion, fmt.Sprintf("%s: %s has the fix of %s%s", s.Source, what, s.FixedVersion, only(s, ", made for those with "))}
}

// only tells the condition of a statement.
func only(s intake.Statement, words string) string {
	if s.Condition == "" {
		return ""
	}
	return words + s.Condition
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

// judge is Judge with what a holding adds: which of its versions the statement is about, kernels, who made it, and what of it
// the statement leaves open.
func (h holding) judge(s intake.Statement) Verdict {
	if h.foreign != "" && s.Source != intake.Own {
		return Verdict{Undetermined, "", fmt.Sprintf("%s comes from %s, of which %s says nothing", h.source, h.foreign, s.Source)}
	}
	v := h.at(h.version, s)
	switch {
	case h.artefacts && v.Status == Affected:
		return Verdict{Undetermined, v.Fixed, fmt.Sprintf("no image of %s is installed that could run, only packages built beside it; %s", h.source, v.Reason)}
	case h.doubt != "" && v.Status == NotAffected:
		return Verdict{Undetermined, v.Fixed, fmt.Sprintf("%s; it says nothing about %s", v.Reason, h.doubt)}
	case h.running != "" && v.Status == NotAffected && h.at(h.running, s).Status == Affected:
		return Verdict{FixedAfterReboot, v.Fixed, fmt.Sprintf("%s; kernel %s still runs", v.Reason, h.running)}
	}
	return v
}

// at judges by a version: that of the holding or the one that runs, unless the statement is about a binary package which has
// one of its own.
func (l lens) at(version string, s intake.Statement) Verdict {
	fixed := l.fixed(s.FixedVersion)
	if own, apart := l.version(s); apart {
		version, fixed = own, s.FixedVersion
	}
	switch {
	case version == elsewhere:
		return Verdict{Undetermined, "", fmt.Sprintf("%s says nothing of %s that others made", s.Source, s.Package)}
	case s.Status != intake.Fixed:
		return Judge(s.Release, s.Package, version, s)
	case l.rpm != (s.Scheme == intake.RPM):
		return Verdict{Undetermined, s.FixedVersion, s.Source + " compares versions by another rule than the packager of the host"}
	}
	return judgeFixed(version, fixed, s)
}
