package intake

import (
	"cmp"
	"slices"
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// CVSS is how severe a vulnerability is by itself, as somebody scored it. The score is worked out from the vector.
type CVSS struct {
	Vector   string  `json:"vector"`
	Score    float64 `json:"score"`    // 0 to 10
	Severity string  `json:"severity"` // none, low, medium, high or critical
	Source   string  `json:"source"`   // who scored it
}

// ReadCVSS reads a vector of CVSS 2, 3.0, 3.1 or 4.0; anything else is fault.Invalid.
func ReadCVSS(vector, source string) (*CVSS, error) {
	score, err := scoreOf(vector)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%.100q is no CVSS vector: %w", vector, err)
	}
	return &CVSS{vector, score, severityOf(score), source}, nil
}

func scoreOf(vector string) (float64, error) {
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		v, err := gocvss40.ParseVector(vector)
		if err != nil {
			return 0, err
		}
		return v.Score(), nil
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		v, err := gocvss31.ParseVector(vector)
		if err != nil {
			return 0, err
		}
		return v.BaseScore(), nil
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		v, err := gocvss30.ParseVector(vector)
		if err != nil {
			return 0, err
		}
		return v.BaseScore(), nil
	}
	v, err := gocvss20.ParseVector(vector)
	if err != nil {
		return 0, err
	}
	return v.BaseScore(), nil
}

// severityOf names a score. Source: CVSS 3.1 and 4.0, "Qualitative Severity Rating Scale".
func severityOf(score float64) string {
	switch {
	case score >= 9:
		return "critical"
	case score >= 7:
		return "high"
	case score >= 4:
		return "medium"
	case score > 0:
		return "low"
	}
	return "none"
}

// Parts are what a vector says about how something is exploited, in words; empty where it does not say.
type Parts struct {
	Attack      string // from where: network, adjacent, local or physical
	Complexity  string // of the attack: low, medium or high; high, too, where something must be given first (CVSS 4.0, AT:P)
	Privileges  string // that an attacker has before: none, low or high
	Interaction string // of another person: none or required
}

// metrics of all versions of CVSS and the words for their values. Source: FIRST, the specifications of CVSS 2.0, 3.1 and 4.0.
var metrics = map[string]map[string]string{
	"AV": {"N": "network", "A": "adjacent", "L": "local", "P": "physical"},
	"AC": {"L": "low", "M": "medium", "H": "high"},
	"PR": {"N": "none", "L": "low", "H": "high"},
	"Au": {"N": "none", "S": "low", "M": "high"},
	"UI": {"N": "none", "R": "required", "P": "required", "A": "required"},
}

// Parts reads the vector.
func (c CVSS) Parts() (p Parts) {
	for part := range strings.SplitSeq(c.Vector, "/") {
		metric, value, _ := strings.Cut(part, ":")
		word := metrics[metric][value]
		switch metric {
		case "AV":
			p.Attack = word
		case "AC":
			p.Complexity = cmp.Or(p.Complexity, word)
		case "AT":
			if value == "P" {
				p.Complexity = "high"
			}
		case "PR", "Au":
			p.Privileges = word
		case "UI":
			p.Interaction = word
		}
	}
	return p
}

// SSVC is CISA's word on a vulnerability. Source: CISA Vulnrichment, "Stakeholder-Specific Vulnerability Categorization".
type SSVC struct {
	Exploitation string `json:"exploitation"` // none, poc or active
	Automatable  string `json:"automatable"`  // yes or no
	Impact       string `json:"impact"`       // partial or total
	Source       string `json:"source"`       // who says it
}

// About is what a source says about a vulnerability for people and for its assessment; it never says who is affected.
type About struct {
	Scores []CVSS `json:"scores"` // by precedence, see AddScore
	SSVC   *SSVC  `json:"ssvc,omitempty"`
	Text   string `json:"text,omitempty"`
}

// AddScore adds a score behind those there are, unless one of them has the same vector: the same judgement told again.
func (a *About) AddScore(c CVSS) {
	if !slices.ContainsFunc(a.Scores, func(o CVSS) bool { return o.Vector == c.Vector }) {
		a.Scores = append(a.Scores, c)
	}
}

// join adds what another says behind what this one does.
func (a *About) join(b *About) *About {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	joined := *a
	joined.Scores = slices.Clone(a.Scores)
	for _, c := range b.Scores {
		joined.AddScore(c)
	}
	if joined.SSVC == nil {
		joined.SSVC = b.SSVC
	}
	if joined.Text == "" {
		joined.Text = b.Text
	}
	return &joined
}

// maxNote bounds text that goes into rows, acts and messages, in bytes.
const maxNote = 500

// Clip bounds a text from outside: valid UTF-8, at most so many bytes and a mark where it was cut. What it costs does not grow
// with the text.
func Clip(s string, most int) string {
	long := len(s) > 4*most
	if long {
		s = s[:4*most]
	}
	s = strings.TrimSpace(strings.ToValidUTF8(s, "?"))
	if long || len(s) > most {
		s = strings.ToValidUTF8(s[:min(len(s), most)], "") + "…"
	}
	return s
}
