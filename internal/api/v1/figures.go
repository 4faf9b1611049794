package v1

import (
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/score"
)

// Episodes are times that vulnerabilities were on hosts.
type Episodes struct {
	Episodes []exposure.Episode `json:"episodes"`
}

// Days are totals of days, the oldest first.
type Days struct {
	Days []exposure.Day `json:"days"`
}

// Remediations say how long remediating took, by month.
type Remediations struct {
	Months []exposure.Remediation `json:"months"`
}

// Scores are cards of owners, units or zones.
type Scores struct {
	Cards []score.Card `json:"cards"`
}

// Months are production orders by month.
type Months struct {
	Months []change.Month `json:"months"`
}
