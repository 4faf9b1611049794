package scans

import (
	"fmt"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// Relation is how a report's word and ours stand to each other.
type Relation string

// Relations.
const (
	Agree         Relation = "agree"
	OnlyTheirs    Relation = "only-theirs"
	OnlyOurs      Relation = "only-ours"
	Contradiction Relation = "contradiction"
	NotOurs       Relation = "unknown-host" // the host is not in the inventory: nothing of ours to compare with
)

// Class is the kind of reason for a relation.
type Class string

// Classes.
const (
	SameWord     Class = "same-word"     // both say the same
	RebootLeft   Class = "reboot"        // the fix is installed, the old kernel runs: both see a part of it
	BannerCheck  Class = "banner"        // a banner shows no backported fix
	NewerSet     Class = "newer-set"     // the host has a newer version than the scanner saw
	OtherKernel  Class = "other-kernel"  // a kernel that is installed and not the one that counts
	NoSuchCode   Class = "no-such-code"  // the vendor says that no version of the release has the code
	OtherFix     Class = "other-fix"     // they ask for a later version than the vendor's
	OldData      Class = "old-data"      // their database does not know the vendor's fix
	NotInstalled Class = "not-installed" // the package set does not have the package
	FeedSilent   Class = "feed-silent"   // no source of ours speaks about it
	VendorUnsure Class = "vendor-unsure" // our sources do not determine it
	TheirDoubt   Class = "their-doubt"   // the report itself does not determine it
	ClaimedFixed Class = "claimed-fixed" // the report says it is gone; the package set says it is not
	ClaimedFree  Class = "claimed-free"  // the report says not affected; our sources say affected
	Unimportant  Class = "unimportant"   // the vendor rates it unimportant, and scanners leave it out
	NoFixYet     Class = "no-fix-yet"    // the vendor has no fix, and many scanners leave it out
	ScanWithout  Class = "scan-without"  // the scan had no login and cannot see it
	TheirSilence Class = "their-silence" // the scanner saw the packages and says nothing
	NoInventory  Class = "no-inventory"  // the host is not in the inventory, or has not reported its packages
)

// Said is what a report says about a vulnerability on a host, beside our own word.
type Said struct {
	Finding
	On       ScannedHost     `json:"on"`
	Relation Relation        `json:"relation"`
	Class    Class           `json:"class"`
	Reason   string          `json:"reason"` // a sentence for people
	Ours     verdict.Verdict `json:"ours"`
}

// compare holds a finding against our answer; known says whether the host has a package set, installed gives the versions of a
// package in it.
func (s *Said) compare(a verdict.Answer, known bool, installed map[string][]string) {
	s.Ours = a.Verdict
	switch {
	case s.On.Host == "":
		s.say(NotOurs, NoInventory, "%s is not in the inventory", s.On.Name)
	case !known:
		s.say(OnlyTheirs, NoInventory, "the host has not reported its packages")
	case s.Claim == scanner.Affected:
		s.compareAffected(a, installed[s.Package])
	case s.Claim == scanner.Undetermined:
		s.say(OnlyTheirs, TheirDoubt, "the report says that it is under investigation")
	case a.Verdict.Status == verdict.Affected && s.Claim == scanner.Fixed:
		s.say(Contradiction, ClaimedFixed, "the report says fixed, and the package set says not: %s", a.Verdict.Reason)
	case a.Verdict.Status == verdict.Affected:
		s.say(Contradiction, ClaimedFree, "the report says not affected; %s", a.Verdict.Reason)
	default:
		s.say(Agree, SameWord, "neither says affected")
	}
}

func (s *Said) say(r Relation, c Class, format string, args ...any) {
	s.Relation, s.Class, s.Reason = r, c, fmt.Sprintf(format, args...)
}

func (s *Said) compareAffected(a verdict.Answer, installed []string) {
	switch {
	case !a.Stated && a.Version == "" && s.Source != Unknown:
		s.say(OnlyTheirs, NotInstalled, "the host's package set has no package of the source %s", s.Source)
	case !a.Stated:
		s.say(OnlyTheirs, FeedSilent, "no source of ours states anything about %s%s", s.ID, inSource(a.Source))
	case a.Version == "":
		s.say(Contradiction, NotInstalled, "stated about %s, of which the host's package set has no package", a.Source)
	case a.Verdict.Status == verdict.Affected:
		s.say(Agree, SameWord, "both say affected; %s", a.Verdict.Reason)
	case a.Verdict.Status == verdict.FixedAfterReboot:
		s.say(Agree, RebootLeft, "%s", a.Verdict.Reason)
	case a.Verdict.Status == verdict.Undetermined:
		s.say(OnlyTheirs, VendorUnsure, "%s", a.Verdict.Reason)
	default:
		s.contradict(a, installed)
	}
}

func inSource(source string) string {
	if source == "" {
		return ""
	}
	return " in " + source
}

// contradict says why a report can say affected where we say not.
func (s *Said) contradict(a verdict.Answer, installed []string) {
	fixed, why := a.Verdict.Fixed, a.Verdict.Reason
	switch {
	case a.Statement.Status == intake.NotAffected:
		s.say(Contradiction, NoSuchCode, "%s", why)
	case s.Banner:
		s.say(Contradiction, BannerCheck, "a banner shows no backported fix; %s", why)
	case s.Package != "" && len(installed) == 0:
		s.say(Contradiction, NewerSet, "the scanner saw the package %s, which the host does not have now; %s", s.Package, why)
	case s.Version != "" && !slices.ContainsFunc(installed, func(v string) bool { return same(v, s.Version) }):
		s.say(Contradiction, NewerSet, "the scanner saw %s %s, the host has %s now; %s", s.Package, s.Version, strings.Join(installed, ", "), why)
	case strings.HasPrefix(s.Package, "linux-"):
		s.say(Contradiction, OtherKernel, "%s is installed and is not the kernel that counts; %s", s.Package, why)
	case s.Fixed != "" && fixed != "" && !same(s.Fixed, fixed):
		s.say(Contradiction, OtherFix, "they ask for %s; the vendor's fix is in %s", s.Fixed, fixed)
	default:
		s.say(Contradiction, OldData, "their database does not know the vendor's fix; %s", why)
	}
}

// same compares versions without the epoch, which some scanners leave out.
func same(a, b string) bool { return withoutEpoch(a) == withoutEpoch(b) }

func withoutEpoch(v string) string {
	if _, rest, ok := strings.Cut(v, ":"); ok {
		return rest
	}
	return v
}

// alone says why a finding of ours is in no report that is about its host. credentialed: one of the reports had a login.
func alone(a verdict.Answer, credentialed bool) (Class, string) {
	switch {
	case a.Statement.Urgency == "unimportant":
		return Unimportant, "the vendor rates it unimportant, and scanners leave such out"
	case a.Verdict.Status == verdict.FixedAfterReboot:
		return RebootLeft, "the scanner sees the fixed package and not the kernel that runs"
	case !credentialed:
		return ScanWithout, "the scan had no login and sees no packages"
	case a.Verdict.Fixed == "":
		return NoFixYet, "the vendor has no fix yet, and the scanner reports only what can be patched"
	}
	return TheirSilence, "the scanner saw the host's packages and says nothing; " + a.Verdict.Reason
}
