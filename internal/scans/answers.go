package scans

import (
	"context"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// maxSaid bounds the findings that a comparison lists; it counts all of them.
const maxSaid = 100_000

// Filter chooses findings of a comparison: all set fields must hold.
type Filter struct {
	Relation Relation
	Class    Class
	Host     string // our ID, or the scanner's name of a host
	Banner   string // "yes" or "no"
	Text     string // a part of the vulnerability's ID, the source or the package
}

// Tally counts what a filter chooses by each property, under the filter's other fields.
type Tally struct {
	Findings        int              `json:"findings"`
	Vulnerabilities int              `json:"vulnerabilities"` // distinct
	Relations       map[Relation]int `json:"relations"`
	Classes         map[Class]int    `json:"classes"`
	Banners         map[string]int   `json:"banners"` // "yes" or "no"
	distinct        map[[2]string]bool
}

// Comparison is a report beside our own verdicts of now.
type Comparison struct {
	Tally
	Rows []Said `json:"rows"` // the chosen ones, at most 100,000
}

func (f Filter) takes(s Said, without string) bool {
	return (without == "relation" || f.Relation == "" || f.Relation == s.Relation) && (without == "class" || f.Class == "" || f.Class == s.Class) &&
		(f.Host == "" || f.Host == s.On.Host || f.Host == s.On.Name) && (without == "banner" || f.Banner == "" || f.Banner == yes(s.Banner)) &&
		(f.Text == "" || strings.Contains(strings.ToLower(s.ID+" "+s.Source+" "+s.Package), strings.ToLower(f.Text)))
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (c *Comparison) take(f Filter, s Said) {
	if f.takes(s, "relation") {
		c.Relations[s.Relation]++
	}
	if f.takes(s, "class") {
		c.Classes[s.Class]++
	}
	if f.takes(s, "banner") {
		c.Banners[yes(s.Banner)]++
	}
	if !f.takes(s, "") {
		return
	}
	c.Findings++
	c.distinct[[2]string{s.ID, s.Source}] = true
	c.Vulnerabilities = len(c.distinct)
	if len(c.Rows) < maxSaid {
		c.Rows = append(c.Rows, s)
	}
}

// Compare holds what a report still says, host by host, against our verdicts of now, and adds what only we say.
func (s *Scans) Compare(ctx context.Context, report string, f Filter) (Comparison, error) {
	c := Comparison{Tally: Tally{Relations: map[Relation]int{}, Classes: map[Class]int{}, Banners: map[string]int{}, distinct: map[[2]string]bool{}}, Rows: []Said{}}
	var findings []Finding
	_, hosts, err := s.Report(ctx, report)
	if err != nil {
		return c, err
	}
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		findings, err = loadFindings(ctx, tx, report)
		return err
	})
	if err != nil {
		return c, err
	}
	for _, h := range hosts {
		n := 0
		for n < len(findings) && findings[n].N == h.N {
			n++
		}
		if h.SupersededBy == "" {
			if err := s.compareHost(ctx, h, findings[:n], func(x Said) { c.take(f, x) }); err != nil {
				return c, err
			}
		}
		findings = findings[n:]
	}
	return c, nil
}

// compareHost holds one host's findings against ours.
func (s *Scans) compareHost(ctx context.Context, h ScannedHost, findings []Finding, each func(Said)) error {
	answers, known, err := s.answers(ctx, h.Host, findings)
	if err != nil {
		return err
	}
	installed, err := s.installed(ctx, h.Host)
	if err != nil {
		return err
	}
	theirs := make(map[verdict.Asked]bool, len(findings))
	for i, f := range findings {
		x := Said{Finding: f, On: h}
		var a verdict.Answer
		if known {
			a = answers[i]
		}
		x.compare(a, known, installed)
		theirs[verdict.Asked{ID: f.ID, Source: a.Source}] = true
		each(x)
	}
	if !known {
		return nil
	}
	return s.onlyOurs(ctx, h, theirs, each)
}

func (s *Scans) answers(ctx context.Context, host string, findings []Finding) ([]verdict.Answer, bool, error) {
	if host == "" {
		return nil, false, nil
	}
	asked := make([]verdict.Asked, len(findings))
	for i, f := range findings {
		asked[i] = verdict.Asked{ID: f.ID, Source: f.Source}
		if f.Source == Unknown {
			asked[i].Source = ""
		}
	}
	return s.Triage.Answers(ctx, host, asked)
}

// installed gives the versions of every package that a host of ours has, by the package's name.
func (s *Scans) installed(ctx context.Context, host string) (map[string][]string, error) {
	if host == "" {
		return nil, nil
	}
	h, err := s.Estate.Host(ctx, host)
	if err != nil || h.PackageSet == "" {
		return nil, err
	}
	set, err := s.Estate.PackageSet(ctx, h.PackageSet)
	versions := make(map[string][]string, len(set))
	for _, p := range set {
		versions[p.Name] = append(versions[p.Name], p.Version)
	}
	return versions, err
}

// onlyOurs adds our findings that the report does not have.
func (s *Scans) onlyOurs(ctx context.Context, h ScannedHost, theirs map[verdict.Asked]bool, each func(Said)) error {
	ours, err := s.Triage.Findings(ctx, h.Host)
	if err != nil {
		return err
	}
	ours = slices.DeleteFunc(ours, func(f verdict.Finding) bool {
		return f.Verdict.Status == verdict.Undetermined || theirs[verdict.Asked{ID: f.ID, Source: f.Source}]
	})
	asked := make([]verdict.Asked, len(ours))
	for i, f := range ours {
		asked[i] = verdict.Asked{ID: f.ID, Source: f.Source}
	}
	answers, known, err := s.Triage.Answers(ctx, h.Host, asked)
	if err != nil || !known {
		return err
	}
	for i, f := range ours {
		x := Said{Finding: Finding{N: h.N, ID: f.ID, Source: f.Source, Version: f.Version}, On: h, Relation: OnlyOurs, Ours: f.Verdict}
		x.Class, x.Reason = alone(answers[i], h.Credentialed)
		each(x)
	}
	return nil
}

// SaidBy counts what one scanner says about a vulnerability, over all hosts.
type SaidBy struct {
	Scanner  string        `json:"scanner"`
	Banner   bool          `json:"banner"`
	Claim    scanner.Claim `json:"claim"`
	Findings int           `json:"findings"`
}

// MaxAbout is the most findings About lists.
const MaxAbout = 200

// About tells what scanners say about "ID/source" in their newest reports: counts over all hosts, and some findings beside
// our verdicts. Findings of the same ID without a package are among them.
func (s *Scans) About(ctx context.Context, vulnerability string, limit int) (counts []SaidBy, said []Said, err error) {
	id, source, _ := strings.Cut(vulnerability, "/")
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		if counts, err = loadAboutCounts(ctx, tx, id, source); err != nil {
			return err
		}
		said, err = loadAbout(ctx, tx, id, source, min(max(limit, 1), MaxAbout))
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	for i := range said {
		x := &said[i]
		answers, known, err := s.answers(ctx, x.On.Host, []Finding{x.Finding})
		if err != nil {
			return nil, nil, err
		}
		installed, err := s.installed(ctx, x.On.Host)
		if err != nil {
			return nil, nil, err
		}
		x.compare(append(answers, verdict.Answer{})[0], known, installed)
	}
	return counts, said, nil
}
