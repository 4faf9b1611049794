package intake

import (
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

// SSVC is CISA's word on a vulnerability. Source: CISA Vulnrichment, "Stakeholder-Specific Vulnerability Categorization".
type SSVC struct {
	Exploitation string `json:"exploitation"` // none, poc or active
	Automatable  string `json:"automatable"`  // yes or no
	Impact       string `json:"impact"`       // partial or total
}

// About is what a source says about a vulnerability for people and for its assessment; it never says who is affected.
type About struct {
	CVSS *CVSS  `json:"cvss,omitempty"`
	SSVC *SSVC  `json:"ssvc,omitempty"`
	Text string `json:"text,omitempty"`
}

// join adds what another says and this one does not.
func (a *About) join(b *About) *About {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	joined := *a
	if joined.CVSS == nil {
		joined.CVSS = b.CVSS
	}
	if joined.SSVC == nil {
		joined.SSVC = b.SSVC
	}
	if joined.Text == "" {
		joined.Text = b.Text
	}
	return &joined
}

// Clip bounds a text from outside: valid UTF-8, at most so many bytes and a mark where it was cut.
func Clip(s string, most int) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
