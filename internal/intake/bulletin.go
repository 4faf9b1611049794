package intake

import (
	"cmp"
	"context"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
)

// Bulletin is an announcement that a person has to read: it names no package that could be matched. All its texts
// come from outside.
type Bulletin struct {
	Source    string    `json:"source"`
	ID        string    `json:"id"` // of the publisher: a Message-ID, a feed entry's ID
	Title     string    `json:"title"`
	Link      string    `json:"link,omitempty"` // http or https
	Text      string    `json:"text,omitempty"`
	Published time.Time `json:"published,omitzero"`  // of a mail that a pinned key signed, when it signed
	Names     []string  `json:"names"`               // CVEs and advisories that it names, sorted
	Thread    string    `json:"thread,omitempty"`    // ID of the message that began the thread
	SignedBy  string    `json:"signed_by,omitempty"` // fingerprint of the pinned key; empty: not signed by one
	Signature string    `json:"signature"`           // "good", "none", or why it counts for nothing
	Document  string    `json:"document,omitempty"`  // SHA-256 of the document of a collection that it stands in; not part of the revision
}

// MaxBulletin bounds a bulletin's text, in bytes.
const MaxBulletin = 8 << 10

// revision changes exactly when what the bulletin says does.
func (b Bulletin) revision() string {
	b.Source, b.Document = "", ""
	return envelope.Digest(encode(b))
}

// distinct sorts bulletins by ID, and keeps each once. What says something else under an ID that is taken, as a mail with another's
// Message-ID does, gets one of its own; the one that a pinned key signed, else the older, keeps the ID.
func distinct(all []Bulletin) []Bulletin {
	slices.SortStableFunc(all, func(a, b Bulletin) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), boolean(b.SignedBy != "")-boolean(a.SignedBy != ""), a.Published.Compare(b.Published))
	})
	kept := make([]Bulletin, 0, len(all))
	for first, next := 0, 0; first < len(all); first = next {
		for next = first + 1; next < len(all) && all[next].ID == all[first].ID; next++ {
		}
		kept = append(append(kept, all[first]), apart(all[first:next])...)
	}
	return kept
}

// apart gives those that say something else than the first and each other under its ID, with IDs of their own.
func apart(same []Bulletin) (others []Bulletin) {
	if len(same) == 1 {
		return nil
	}
	said := map[string]bool{same[0].revision(): true}
	for _, b := range same[1:] {
		if revision := b.revision(); !said[revision] {
			said[revision] = true
			b.ID += " " + revision[:16]
			others = append(others, b)
		}
	}
	return others
}

var named = regexp.MustCompile(`\b(CVE-[0-9]{4}-[0-9]{4,19}|(?:DSA|DLA)[- ][0-9]{1,6}-[0-9]{1,3}|USN-[0-9]{1,6}-[0-9]{1,3}|RH[SBE]A-[0-9]{4}:[0-9]{1,7})\b`)

// Named gives the CVEs and vendors' advisories that texts name, sorted, at most 1,000.
func Named(texts ...string) []string {
	all := []string{}
	for _, text := range texts {
		for _, name := range named.FindAllString(text, 1000) {
			if len(name) > 3 && name[3] == ' ' {
				name = name[:3] + "-" + name[4:]
			}
			all = append(all, name)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), 1000)]
}

// SafeLink gives an absolute address of the web, or nothing.
func SafeLink(link string) string {
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || len(link) > 2000 {
		return ""
	}
	return u.String()
}

// Bulletin gives what a source announces under an ID now.
func (k *Knowledge) Bulletin(source, id string) (Bulletin, bool) {
	r := k.readings[source]
	i, found := slices.BinarySearchFunc(r.Bulletins, id, func(b Bulletin, id string) int { return strings.Compare(b.ID, id) })
	if !found {
		return Bulletin{}, false
	}
	return r.Bulletins[i], true
}

// announce adds what bulletins say to the advisories that are bulletins and still shown by their source. The queue it is given
// stays as it is.
func (in *Intake) announce(ctx context.Context, queue []Advisory) ([]Advisory, error) {
	k, err := in.Knowledge(ctx)
	if err != nil {
		return nil, err
	}
	copied := false
	for i, a := range queue {
		b, found := k.Bulletin(a.Source, a.ID)
		if !found {
			continue
		}
		if !copied {
			queue, copied = slices.Clone(queue), true
		}
		queue[i].Bulletin = &b
	}
	return queue, nil
}
