package policy

import (
	"time"

	"github.com/patchwarrant/patchwarrant/internal/expr"
)

// Facts are what rules ask about: of a vulnerability, and of a class of hosts it affects. Unknown texts are empty, unknown
// numbers 0.
type Facts struct {
	ID           string  `json:"id"`
	Source       string  `json:"source"` // source package
	Release      string  `json:"release"`
	Severity     string  `json:"severity"`     // critical, high, medium, low or unknown
	CVSS         float64 `json:"cvss"`         // base score that leads, 0 to 10: the vendor's, else NVD's, else the CVE record's
	HighestCVSS  float64 `json:"cvss_highest"` // of all scores
	Attack       string  `json:"attack"`       // by the vector that leads: network, adjacent, local or physical
	Complexity   string  `json:"complexity"`   // by the vector: low, medium or high
	Privileges   string  `json:"privileges"`   // by the vector: none, low or high
	Interaction  string  `json:"interaction"`  // by the vector: none or required
	Exploitation string  `json:"exploitation"` // by SSVC: none, poc or active
	EPSS         float64 `json:"epss"`         // probability of exploitation within 30 days, 0 to 1
	KEV          bool    `json:"kev"`          // in a catalogue of exploited vulnerabilities
	Ransomware   bool    `json:"ransomware"`
	Exploit      bool    `json:"exploit"`     // an exploit is published, by the catalogue, SSVC or the assessment
	Remote       bool    `json:"remote"`      // reachable over a network, by the vendor, else by the vector
	Automatable  bool    `json:"automatable"` // exploitation can be automated from end to end, by the assessment, else by SSVC
	Total        bool    `json:"total"`       // exploitation gives total control, by the assessment, else by SSVC
	Fix          bool    `json:"fix"`         // a fixed version is known
	Origin       string  `json:"origin"`      // advisory, report, pen-test or scanner

	Zone        string   `json:"zone"`
	Environment string   `json:"environment"`
	Exposure    string   `json:"exposure"`    // internet, dmz, internal or isolated
	Criticality string   `json:"criticality"` // critical, high, medium or low
	Unit        string   `json:"unit"`        // business unit
	Groups      []string `json:"groups"`
}

// Language is what conditions of rules are written in.
var Language = expr.NewLanguage(map[string]expr.Type{
	"id": expr.Text, "source": expr.Text, "release": expr.Text, "severity": expr.Text, "cvss": expr.Number,
	"cvss_highest": expr.Number, "attack": expr.Text, "complexity": expr.Text, "privileges": expr.Text, "interaction": expr.Text,
	"exploitation": expr.Text, "epss": expr.Number,
	"kev": expr.Truth, "ransomware": expr.Truth, "exploit": expr.Truth, "remote": expr.Truth, "automatable": expr.Truth,
	"total": expr.Truth, "fix": expr.Truth, "origin": expr.Text, "zone": expr.Text, "environment": expr.Text,
	"exposure": expr.Text, "criticality": expr.Text, "unit": expr.Text, "groups": expr.Texts,
})

func (f Facts) values() map[string]any {
	return map[string]any{
		"id": f.ID, "source": f.Source, "release": f.Release, "severity": f.Severity, "cvss": f.CVSS,
		"cvss_highest": f.HighestCVSS, "attack": f.Attack, "complexity": f.Complexity, "privileges": f.Privileges, "interaction": f.Interaction,
		"exploitation": f.Exploitation, "epss": f.EPSS,
		"kev": f.KEV, "ransomware": f.Ransomware, "exploit": f.Exploit, "remote": f.Remote, "automatable": f.Automatable,
		"total": f.Total, "fix": f.Fix, "origin": f.Origin, "zone": f.Zone, "environment": f.Environment,
		"exposure": f.Exposure, "criticality": f.Criticality, "unit": f.Unit, "groups": f.Groups,
	}
}

// Events are when things happened; zero: not yet, or not known.
type Events struct {
	Published, Identified, Detected, FixReleased, Exploited time.Time
}

// at gives when a clock starts. What is not known to be published was so when it was identified at the latest.
func (e Events) at(event Event) time.Time {
	switch event {
	case Published:
		if e.Published.IsZero() {
			return e.Identified
		}
		return e.Published
	case Identified:
		return e.Identified
	case Detected:
		return e.Detected
	case FixReleased:
		return e.FixReleased
	case Exploited:
		return e.Exploited
	}
	return time.Time{}
}

// Deadline is when a clock runs out, and by which rule.
type Deadline struct {
	Clock     Clock     `json:"clock"`
	Due       time.Time `json:"due"`
	From      Event     `json:"from"`
	Started   time.Time `json:"started"`
	Rule      string    `json:"rule"`
	Clause    string    `json:"clause,omitempty"`
	PlanStops bool      `json:"plan_stops,omitempty"`
}

// Deadlines applies the policy to one vulnerability on one class of hosts: at most one deadline for each clock, the one due
// first of all rules that apply; where two are due together, the first in the policy. A rule whose condition fails to
// evaluate is an error: a limit is never lost in silence.
func (c *Compiled) Deadlines(f Facts, e Events) (map[Clock]Deadline, error) {
	values := f.values()
	all := make(map[Clock]Deadline, len(Clocks))
	for i, r := range c.Rules {
		started := e.at(r.From)
		if started.IsZero() {
			continue
		}
		due := started.Add(time.Duration(r.Hours) * time.Hour)
		if leads, ok := all[r.Clock]; ok && !due.Before(leads.Due) {
			continue
		}
		held, err := c.conditions[i].Holds(values)
		if err != nil {
			return nil, err
		}
		if held {
			all[r.Clock] = Deadline{r.Clock, due, r.From, started, r.Name, r.Clause, r.PlanStops}
		}
	}
	return all, nil
}

// Tightest joins the deadlines of several classes of hosts: for each clock the one due first.
func Tightest(classes ...map[Clock]Deadline) map[Clock]Deadline {
	lead := make(map[Clock]Deadline, len(Clocks))
	for _, deadlines := range classes {
		for clock, d := range deadlines {
			if l, ok := lead[clock]; !ok || d.Due.Before(l.Due) {
				lead[clock] = d
			}
		}
	}
	return lead
}
