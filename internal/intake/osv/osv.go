// Package osv reads records in the Open Source Vulnerability format (OSV, schema 1.7) about packages of Debian, Ubuntu, Rocky
// Linux and AlmaLinux. Records about other ecosystems state nothing here.
package osv

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
)

// MaxDocument bounds one record, in bytes. Ubuntu's largest list every version of every kernel: some MB.
const MaxDocument = 64 << 20

// record holds the fields we use. Source of the format: ossf.github.io/osv-schema.
type record struct {
	ID        string     `json:"id"`
	Modified  time.Time  `json:"modified"`
	Withdrawn time.Time  `json:"withdrawn"`
	Aliases   []string   `json:"aliases"`
	Upstream  []string   `json:"upstream"`
	Related   []string   `json:"related"`
	Summary   string     `json:"summary"`
	Details   string     `json:"details"`
	Severity  []severity `json:"severity"`
	Affected  []affected `json:"affected"`
}

type severity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type affected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
		PURL      string `json:"purl"`
	} `json:"package"`
	Ranges []struct {
		Type   string  `json:"type"`
		Events []event `json:"events"`
	} `json:"ranges"`
	Specific struct {
		Urgency      string `json:"urgency"`
		Availability string `json:"availability"`
	} `json:"ecosystem_specific"`
	Database struct {
		Map struct {
			CVEs []struct {
				ID       string     `json:"id"`
				Severity []severity `json:"severity"`
			} `json:"cves"`
		} `json:"cves_map"`
	} `json:"database_specific"`
}

type event struct {
	Introduced   *string `json:"introduced"`
	Fixed        *string `json:"fixed"`
	LastAffected *string `json:"last_affected"`
}

var (
	name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:._-]{1,63}$`)
	cve  = regexp.MustCompile(`^(?:DEBIAN-|UBUNTU-)?(CVE-[0-9]{4}-[0-9]{1,19})$`)
)

// IsDocument reports whether a file of an archive is a record.
func IsDocument(p string) bool { return path.Ext(p) == ".json" }

// Parse makes a parser of records that keeps the statements about the named releases; about all when none is named.
// A record that was withdrawn states nothing. One about several CVEs (an advisory) states each of them, with itself as the
// advisory; one about none states itself. Damage is fault.Invalid.
func Parse(releases ...string) intake.DocumentParser {
	return func(_ string, r io.Reader) (intake.Reading, error) {
		d, err := decode(r)
		if err != nil {
			return intake.Reading{}, err
		}
		reading := intake.Reading{Revised: d.Modified}
		if !d.Withdrawn.IsZero() {
			return reading, nil
		}
		for _, a := range d.Affected {
			release, condition, scheme := releaseOf(a.Package.Ecosystem, a.Package.PURL)
			if release == "" || len(releases) > 0 && !slices.Contains(releases, release) {
				continue
			}
			s, err := a.statement(scheme)
			if err != nil {
				return intake.Reading{}, fault.New(fault.Invalid, "OSV: record %s: %w", d.ID, err)
			}
			s.Release, s.Condition, s.Description = release, condition, intake.Clip(cmp.Or(d.Summary, d.Details), 200)
			if strings.Contains(a.Specific.Availability, "Livepatch") {
				s.Condition = "livepatch"
			}
			if err := intake.Bounded(len(a.Database.Map.CVEs), len(reading.Statements)+len(a.Database.Map.CVEs)); err != nil {
				return intake.Reading{}, fmt.Errorf("OSV: record %s: %w", d.ID, err)
			}
			reading.Statements = append(reading.Statements, d.each(a, s)...)
		}
		reading.Statements = intake.Lead(reading.Statements)
		return reading, nil
	}
}

func decode(r io.Reader) (d record, err error) {
	in := json.NewDecoder(io.LimitReader(r, MaxDocument+1))
	if err := in.Decode(&d); err != nil {
		return d, fault.New(fault.Invalid, "OSV: the record is not OSV's JSON, or is truncated, near byte %d: %w", in.InputOffset(), err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return d, fault.New(fault.Invalid, "OSV: something follows the record at byte %d", in.InputOffset())
	}
	named := len(d.Upstream) + len(d.Aliases) + len(d.Related)
	if err := intake.Bounded(named, named*len(d.Affected)); err != nil {
		return d, fmt.Errorf("OSV: %w", err)
	}
	if !name.MatchString(d.ID) || d.Modified.IsZero() {
		return d, fault.New(fault.Invalid, "OSV: the record has no id, or says not when it was modified")
	}
	return d, nil
}

// each gives a statement for every vulnerability that the record is about.
func (d record) each(a affected, s intake.Statement) []intake.Statement {
	if !cve.MatchString(d.ID) {
		s.Advisory = d.ID
	}
	s.Urgency, s.Vector = intake.Clip(cmp.Or(a.Specific.Urgency, rating(d.Severity), classOf(d.Summary)), 200), vector(d.Severity)
	if s.Urgency == "end-of-life" {
		s.Expectation = "end-of-life"
	}
	var all []intake.Statement
	for _, one := range a.Database.Map.CVEs { // the vulnerabilities that the advisory fixes in this package of this release
		if cve.MatchString(one.ID) {
			s.ID, s.Urgency, s.Vector = one.ID, intake.Clip(cmp.Or(rating(one.Severity), s.Urgency), 200), cmp.Or(vector(one.Severity), s.Vector)
			all = append(all, s)
		}
	}
	if len(all) > 0 {
		return all
	}
	for _, id := range d.cves() {
		s.ID = id
		all = append(all, s)
	}
	return all
}

// cves gives the vulnerabilities behind a record: its own ID, what it lists as upstream (since schema 1.7; distributions
// put the CVE there) or as an alias, or as related where it lists neither, as AlmaLinux does; else the record itself.
func (d record) cves() []string {
	for _, from := range [][]string{{d.ID}, d.Upstream, d.Aliases, d.Related} {
		var found []string
		for _, id := range from {
			if m := cve.FindStringSubmatch(id); m != nil {
				found = append(found, m[1])
			}
		}
		if len(found) > 0 {
			slices.Sort(found)
			return slices.Compact(found)
		}
	}
	return []string{d.ID}
}

// versions is how a scheme names, checks and compares them.
type versions struct {
	valid   func(version string) error
	compare func(a, b string) int
}

// end gives the highest version in which a range is fixed; none where it was introduced again later.
func (v versions) end(events []event) (end string, err error) {
	for _, e := range events {
		if e.Fixed == nil {
			continue
		}
		if err := v.valid(*e.Fixed); err != nil {
			return "", err
		}
		if end == "" || v.compare(*e.Fixed, end) > 0 {
			end = *e.Fixed
		}
	}
	for _, e := range events {
		if e.Introduced == nil || *e.Introduced == "0" || end == "" {
			continue
		}
		if err := v.valid(*e.Introduced); err != nil || v.compare(*e.Introduced, end) > 0 {
			return "", err
		}
	}
	return end, nil
}

// statement reads the ranges: fixed in the highest version that ends one, open where one has no end.
func (a affected) statement(scheme intake.Scheme) (intake.Statement, error) {
	// Debian, Ubuntu and Rocky Linux name source packages, AlmaLinux binary ones.
	s := intake.Statement{Package: a.Package.Name, Scheme: scheme, Binary: strings.HasPrefix(a.Package.Ecosystem, "AlmaLinux")}
	named, of := deb.ValidName, versions{deb.ValidVersion, deb.Compare}
	if scheme == intake.RPM {
		named, of = rpm.ValidName, versions{rpm.ValidVersion, rpm.Compare}
	}
	if !named(s.Package) {
		return s, fault.New(fault.Invalid, "%q is no name of a package", intake.Clip(s.Package, 200))
	}
	s.Status, s.Note = intake.Undetermined, "the record gives no range of versions"
	for _, r := range a.Ranges {
		if r.Type != "ECOSYSTEM" {
			continue
		}
		for _, e := range r.Events {
			if e.LastAffected != nil {
				return intake.Statement{Package: s.Package, Scheme: scheme, Binary: s.Binary, Status: intake.Undetermined,
					Note: "the record says which version is the last affected, not which one has the fix"}, nil
			}
		}
		end, err := of.end(r.Events)
		if err != nil {
			return s, fmt.Errorf("%s: %w", s.Package, err)
		}
		if scheme == intake.RPM {
			end = strings.TrimPrefix(end, "0:")
		}
		switch {
		case end == "":
			s.Status, s.FixedVersion, s.Note = intake.Open, "", ""
		case s.Status == intake.Undetermined, s.Status == intake.Fixed && of.compare(end, s.FixedVersion) > 0:
			s.Status, s.FixedVersion, s.Note = intake.Fixed, end, ""
		}
	}
	if s.Status == intake.Fixed && s.FixedVersion == "0" {
		s.Status, s.FixedVersion = intake.NotAffected, ""
	}
	return s, nil
}

// rating is the distribution's own word; vector the newest CVSS.
func rating(all []severity) string {
	for _, s := range all {
		if s.Type == "Ubuntu" {
			return s.Score
		}
	}
	return ""
}

func vector(all []severity) (found string) {
	kind := ""
	for _, s := range all {
		if strings.HasPrefix(s.Type, "CVSS_V") && s.Type > kind && len(s.Score) <= 200 {
			kind, found = s.Type, s.Score
		}
	}
	return found
}

// classOf is the word before the colon of Rocky's and AlmaLinux' summaries.
func classOf(summary string) string {
	word, _, _ := strings.Cut(summary, ":")
	if slices.Contains([]string{"Critical", "Important", "Moderate", "Low"}, word) {
		return word
	}
	return ""
}
