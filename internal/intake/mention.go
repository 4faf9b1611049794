package intake

import (
	"slices"
	"strings"
)

// Mention is a source that speaks of a vulnerability without naming a package, with the bytes that do.
type Mention struct {
	Source   string    `json:"source"`
	Says     string    `json:"says"`               // "exploited", "likelihood", "scores" or "announced"
	Bytes    Document  `json:"bytes"`              // a document of a collection, or the source's file, which has no path
	Bulletin *Bulletin `json:"bulletin,omitempty"` // with "announced"
}

// maxMentions is how many bulletins Mentions gives.
const maxMentions = 20

// spoken is what one source says that names no package.
type spoken struct {
	source  string
	signals []Signal // sorted by ID
}

func (s spoken) find(id string) (Signal, bool) {
	i, found := slices.BinarySearchFunc(s.signals, id, func(s Signal, id string) int { return strings.Compare(s.ID, id) })
	if !found {
		return Signal{}, false
	}
	return s.signals[i], true
}

// Mentions gives who speaks of a vulnerability without naming a package: first what joins in its Signal, by precedence of the
// sources; then the newest bulletins that name it or one of the advisories.
func (k *Knowledge) Mentions(id string, advisories ...string) []Mention {
	signals, bulletins := []Mention{}, []Mention{}
	for _, from := range k.spoken {
		r := k.readings[from.source]
		if s, found := from.find(id); found {
			signals = append(signals, Mention{Source: from.source, Says: s.says(), Bytes: r.document(s.Document)})
		}
		var met []int
		for _, name := range append([]string{id}, advisories...) {
			met = append(met, r.named[name]...)
		}
		slices.Sort(met)
		for _, i := range slices.Compact(met) {
			b := r.Bulletins[i]
			bulletins = append(bulletins, Mention{Source: from.source, Says: "announced", Bytes: r.document(b.Document), Bulletin: &b})
		}
	}
	slices.SortStableFunc(bulletins, func(a, b Mention) int { return b.Bulletin.Published.Compare(a.Bulletin.Published) })
	return append(signals, bulletins[:min(len(bulletins), maxMentions)]...)
}

func (s Signal) says() string {
	switch {
	case s.Exploited != nil:
		return "exploited"
	case s.About != nil:
		return "scores"
	}
	return "likelihood"
}
