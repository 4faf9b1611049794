package triage

import (
	"cmp"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// scoresOf gives every CVSS score of a vulnerability by precedence: the vendors' of the statements that lead, the worst first,
// because they know how the package is built; then NVD's own, those that NVD lists of others, and those of the CVE record, its
// author's first. The first one is what rules ask about; none is hidden.
func scoresOf(leading []intake.Statement, about *intake.About) []intake.CVSS {
	var all intake.About
	for _, s := range leading {
		if c, err := intake.ReadCVSS(s.Vector, s.Source); s.Vector != "" && err == nil {
			all.AddScore(*c)
		}
	}
	slices.SortStableFunc(all.Scores, func(a, b intake.CVSS) int { return cmp.Compare(b.Score, a.Score) })
	if about != nil {
		for _, c := range about.Scores {
			all.AddScore(c)
		}
	}
	return all.Scores
}

// score fills in what scores say: the one that leads, and the highest where that is another.
func (v *Vulnerability) score(leading []intake.Statement, about *intake.About) {
	scores := scoresOf(leading, about)
	if len(scores) == 0 {
		return
	}
	v.CVSS = &scores[0]
	highest := slices.MaxFunc(scores, func(a, b intake.CVSS) int { return cmp.Compare(a.Score, b.Score) })
	if highest.Score > v.CVSS.Score {
		v.HighestCVSS = &highest
	}
}
