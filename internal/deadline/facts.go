package deadline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/policy"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// words maps what vendors call it onto one scale. Sources: the urgencies of Debian's tracker, the priorities of Ubuntu's, the
// impacts of Red Hat's.
var words = map[string]string{
	"critical": "critical", "high": "high", "important": "high", "medium": "medium", "moderate": "medium",
	"low": "low", "negligible": "low", "unimportant": "low",
}

// Severity gives the worst that the leading statements say in words, else what the CVSS score that leads is called; "unknown"
// where there is neither. Stars that Debian's old records carry mean that another database set the word.
func Severity(v triage.Vulnerability) string {
	severity := worded(v)
	if severity == "unknown" && v.CVSS != nil && v.CVSS.Score > 0 {
		return v.CVSS.Severity
	}
	return severity
}

// worded is the worst that vendors say in words.
func worded(v triage.Vulnerability) string {
	severity := "unknown"
	for _, r := range v.Releases {
		severity = worst(Severities, severity, words[strings.TrimRight(strings.ToLower(r.Urgency), "*")])
	}
	return severity
}

// facts gives what rules ask about a vulnerability; the hosts' part is filled in for each standing.
func facts(v triage.Vulnerability, assessed *Assessment) policy.Facts {
	f := policy.Facts{ID: v.ID, Source: v.Source, Severity: Severity(v), EPSS: v.EPSS, KEV: v.Exploited != nil, Exploit: v.Exploited != nil,
		Remote: v.Scope == "remote", Origin: "advisory", Groups: []string{}}
	if v.Exploited != nil {
		f.Ransomware = v.Exploited.Ransomware
	}
	if c := v.CVSS; c != nil {
		p := c.Parts()
		f.CVSS, f.HighestCVSS, f.Attack, f.Complexity, f.Privileges, f.Interaction = c.Score, c.Score, p.Attack, p.Complexity, p.Privileges, p.Interaction
		f.Remote = f.Remote || v.Scope == "" && p.Attack == "network"
	}
	if v.HighestCVSS != nil {
		f.HighestCVSS = v.HighestCVSS.Score
	}
	if s := v.SSVC; s != nil {
		f.Exploitation, f.Automatable, f.Total = s.Exploitation, s.Automatable == "yes", s.Impact == "total"
		f.Exploit = f.Exploit || exploited(s)
	}
	for _, r := range v.Releases {
		f.Release = cmp.Or(f.Release, r.Release)
		f.Fix = f.Fix || r.Status == intake.Fixed
	}
	if assessed != nil {
		if given := f.Severity; given != assessed.Given && worst(Severities, assessed.Given, given) == given {
			f.Severity = worst(Severities, assessed.Severity, given) // a worse word than the one that was known to who assessed
		} else {
			f.Severity = assessed.Severity
		}
		f.Exploit = f.Exploit || assessed.Factors.Exploit != "none"
		f.Automatable, f.Total = assessed.Automatable, assessed.Total
	}
	return f
}

// exploited says whether an exploit is out by SSVC: one is published, or used.
func exploited(s *intake.SSVC) bool {
	return s != nil && (s.Exploitation == "poc" || s.Exploitation == "active")
}

func (s Standing) fill(f policy.Facts) policy.Facts {
	f.Environment, f.Zone, f.Exposure, f.Criticality, f.Unit = s.Environment, s.Zone, s.Exposure, s.Criticality, s.Unit
	f.Groups = append([]string{}, s.Groups...)
	return f
}

// events gives when clocks of an episode start.
func events(e exposure.Episode, v triage.Vulnerability, fixAt time.Time) policy.Events {
	at := policy.Events{Identified: e.IdentifiedAt, Detected: e.AffectedAt, FixReleased: fixAt}
	if v.Exploited != nil {
		if day, err := time.Parse(time.DateOnly, v.Exploited.Since); err == nil {
			at.Exploited = day
		}
	}
	return at
}

// Hint is a factor as the data suggests it, and why.
type Hint struct {
	Factor string `json:"factor"`
	Value  string `json:"value"`
	Why    string `json:"why"`
}

// complexity says how hard it is to exploit: as the vector says, and one step harder where an attacker needs high privileges or
// another person's help.
func complexity(p intake.Parts) string {
	if p.Complexity == "low" && (p.Interaction == "required" || p.Privileges == "high") {
		return "medium"
	}
	return cmp.Or(p.Complexity, "medium")
}

// prefillEffect takes the vendors' word before the score's, and shows the highest score beside it.
func prefillEffect(v triage.Vulnerability, hint func(factor, value, why string) string) string {
	severity, why := Severity(v), "the worst word of the leading sources"
	switch {
	case severity == "unknown":
		severity, why = "medium", "no source gives a severity"
	case worded(v) == "unknown":
		why = fmt.Sprintf("no vendor rates it; CVSS %.1f by %s", v.CVSS.Score, v.CVSS.Source)
	case v.CVSS != nil:
		why += fmt.Sprintf("; CVSS %.1f by %s", v.CVSS.Score, v.CVSS.Source)
	}
	if v.HighestCVSS != nil {
		why += fmt.Sprintf("; the highest is %.1f by %s", v.HighestCVSS.Score, v.HighestCVSS.Source)
	}
	return hint("effect", severity, why)
}

// prefill suggests the factors from what is known, each with its reason. People edit them.
func prefill(v triage.Vulnerability, standings []Standing) (f Factors, hints []Hint) {
	hint := func(factor, value, why string) string {
		hints = append(hints, Hint{factor, value, why})
		return value
	}
	switch {
	case v.Exploited != nil:
		f.Exploit = hint("exploit", "published", "listed as exploited since "+v.Exploited.Since)
	case v.EPSS >= 0.1:
		f.Exploit = hint("exploit", "published", fmt.Sprintf("EPSS gives a probability of exploitation of %.2f; an exploit is likely to be out", v.EPSS))
	case exploited(v.SSVC):
		f.Exploit = hint("exploit", "published", fmt.Sprintf("SSVC of %s: exploitation is %s", v.SSVC.Source, v.SSVC.Exploitation))
	default:
		f.Exploit = hint("exploit", "none", fmt.Sprintf("in no catalogue of exploited vulnerabilities, EPSS %.3f", v.EPSS))
	}
	if v.CVSS == nil {
		f.Complexity = hint("complexity", "medium", "no source says how hard it is")
	} else {
		f.Complexity = hint("complexity", complexity(v.CVSS.Parts()), fmt.Sprintf("the vector of %s: %s", v.CVSS.Source, v.CVSS.Vector))
	}
	f.Effect = prefillEffect(v, hint)
	f.Criticality, f.Location = Criticality[0], Locations[0]
	known := 0
	for _, s := range standings {
		if s.Criticality != "" && s.Exposure != "" {
			known++
		}
		f.Criticality, f.Location = worst(Criticality, f.Criticality, s.Criticality), worst(Locations, f.Location, s.Exposure)
	}
	why := "the worst of the hosts affected"
	if known < len(standings) { // of what is not recorded the worse half is assumed
		f.Criticality, f.Location = worst(Criticality, f.Criticality, "high"), worst(Locations, f.Location, "dmz")
		why = "some of the hosts affected have no record of it, so the worse half is assumed"
	}
	hint("criticality", f.Criticality, why)
	hint("location", f.Location, why)
	f.Patch = slices.ContainsFunc(v.Releases, func(r triage.Release) bool { return r.Status == intake.Fixed })
	hint("patch", fmt.Sprint(f.Patch), "what the leading sources state")
	return f, hints
}
