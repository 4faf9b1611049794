// Package intake receives what sources say about vulnerabilities: the bytes kept as facts, the acts of receiving and
// refusing, the freshness clock of each source, and the queue of advisories that a person has yet to review.
package intake

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Status is what a vendor says about a source package in a release.
type Status string

const (
	Fixed        Status = "fixed"        // fixed in FixedVersion and later
	Open         Status = "open"         // every version of the release is affected, no fix exists
	NotAffected  Status = "not-affected" // no version of the release was ever affected
	Undetermined Status = "undetermined" // the vendor does not know, or what it says cannot be used; see Note
)

// Scheme says how versions are compared.
type Scheme string

const (
	Deb Scheme = ""    // Debian policy: [epoch:]upstream[-revision]
	RPM Scheme = "rpm" // [epoch:]version-release, as rpm compares them; an epoch of 0 is left out
)

// Statement is what one source says about one vulnerability in one package of one release. Several statements of a source
// may speak about the same package and vulnerability: they differ in Module, Condition or Binary, or one supersedes the
// others (see Lead).
type Statement struct {
	Source       string `json:"source"`                  // who says it: the name of a Source, e.g. "debian-tracker"
	Package      string `json:"package"`                 // source package; with Binary a binary one
	Release      string `json:"release"`                 // codename for Debian and Ubuntu ("bookworm", "jammy"); else os-release ID-VERSION ("rhel-9", "rocky-9", "rhel-9.2")
	ID           string `json:"id"`                      // CVE-…, or the vendor's own name where it gives no CVE
	Status       Status `json:"status"`                  //
	FixedVersion string `json:"fixed_version,omitempty"` // only with Fixed: a version of the package
	Urgency      string `json:"urgency,omitempty"`       // the vendor's word for how bad it is, unchanged: urgency, priority, severity, impact
	Expectation  string `json:"expectation,omitempty"`   // fix expectation: "no-dsa", "ignored", "postponed", "next-point-update", "end-of-life", "investigating"
	Note         string `json:"note,omitempty"`          // the vendor's reason, or why the record is undetermined
	Scope        string `json:"scope,omitempty"`         // "remote", "local" or ""
	Scheme       Scheme `json:"scheme,omitempty"`        // of FixedVersion
	Binary       bool   `json:"binary,omitempty"`        // Package is a binary package: the vendor names no source
	Module       string `json:"module,omitempty"`        // rpm module:stream to which alone it applies, e.g. "redis:6"
	Condition    string `json:"condition,omitempty"`     // the fix is for those alone who have this: "pro", "fips", "eus", …
	Advisory     string `json:"advisory,omitempty"`      // that brings the fix: DSA-…, USN-…, RHSA-…
	Vector       string `json:"vector,omitempty"`        // CVSS, as the source gives it
	Claim        bool   `json:"claim,omitempty"`         // said by one who is not the vendor of the package: heard only where no vendor speaks, and never that nothing is affected
	Description  string `json:"description,omitempty"`   // text for people; not part of the digest
	Document     string `json:"document,omitempty"`      // SHA-256 of the document of a collection that says it; not part of the digest
}

// Fact gives what the statement claims as bytes: its encoding without the description and the document's digest, which change
// without any change of fact. Decisions cite it.
func (s Statement) Fact() []byte {
	s.Description, s.Document = "", ""
	return encode(s)
}

// Digest is the sha256 of Fact.
func (s Statement) Digest() string { return envelope.Digest(s.Fact()) }

// encode is envelope's encoding of structs and lists of strings, which always encode, of times that moment gave: envelope refuses a text
// that looks like a time of another zone, and texts from outside may look like anything.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("intake: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Signal is what a source says about a vulnerability regardless of packages: that it is exploited (KEV), or how likely
// exploitation is (EPSS).
type Signal struct {
	ID         string
	Exploited  *Exploited // KEV
	Score      float64    // EPSS: probability of exploitation within 30 days, 0 to 1
	Percentile float64    // EPSS: share of CVEs with the same or a lower score, 0 to 1; 0 when the file has none
	About      *About     // scores and text, of NVD and of CVE records
	Document   string     // SHA-256 of the document of a collection that says it
}

// Exploited is an entry of a catalogue of vulnerabilities known to be exploited.
type Exploited struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Since      string `json:"since"`         // date added, YYYY-MM-DD
	Due        string `json:"due,omitempty"` // the catalogue's own deadline, YYYY-MM-DD
	Ransomware bool   `json:"ransomware"`
}

// Fact gives the entry as bytes; decisions cite it.
func (e Exploited) Fact() []byte { return encode(e) }

// Support says until when a release, or a package of it, gets fixes from its vendor.
type Support struct {
	Source  string    `json:"source"`
	Release string    `json:"release"`           // as in Statement
	Package string    `json:"package,omitempty"` // source package; a pattern of package path.Match ("php-horde*"); empty: the release
	Kind    string    `json:"kind"`              // "regular", "lts", "elts", "esm", "legacy" for a release; "ended" or "limited" for a package
	Until   time.Time `json:"until,omitzero"`    // end of it, exclusive; zero for "limited"
	Version string    `json:"version,omitempty"` // with "ended": the last version that was supported
	Note    string    `json:"note,omitempty"`
}

// Reading is what a parser made of a source's bytes.
type Reading struct {
	Statements []Statement
	Signals    []Signal
	Support    []Support
	Bulletins  []Bulletin
	PassedOver map[string]int // records that state nothing we can use, by reason
	Window     bool           // it shows the newest bulletins only: what it no longer shows is not gone
	Revised    time.Time      // when the publisher last changed the document or file, as it says itself; zero where it does not
}

// from says who states it all, and in which document.
func (r Reading) from(source Source, document string) {
	for i := range r.Statements {
		s := &r.Statements[i]
		s.Source, s.Document, s.Claim = source.Name, document, !source.vends(s.Release)
	}
	for i := range r.Support {
		r.Support[i].Source, r.Support[i].Until = source.Name, moment(r.Support[i].Until)
	}
	for i := range r.Signals {
		r.Signals[i].Document = document
	}
	for i := range r.Bulletins {
		b := &r.Bulletins[i]
		b.Source, b.Document, b.Published = source.Name, document, moment(b.Published)
	}
}

// moment makes a time from outside one that can be kept, which is in UTC and of a year with four digits; any other is no time.
func moment(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// advisories groups the statements by advisory (ID) and gives each a revision: a digest that changes exactly when a
// claim changes.
func (r Reading) advisories() map[string]string {
	byID := make(map[string][]string)
	for _, s := range r.Statements {
		byID[s.ID] = append(byID[s.ID], s.Digest())
	}
	revisions := make(map[string]string, len(byID)+len(r.Bulletins))
	for _, b := range r.Bulletins {
		revisions[b.ID] = b.revision()
	}
	for id, digests := range byID {
		slices.Sort(digests)
		revisions[id] = envelope.Digest(encode(digests))
	}
	return revisions
}

// Bounds of what multiplies: the vulnerabilities that a record names, and the statements that one file or document makes of them
// and its packages. Canonical's notices about kernels name some hundred, and its definitions of a release make some 100,000.
const (
	MaxNamed      = 10_000
	MaxStatements = 1_000_000
)

// Bounded refuses more of either.
func Bounded(named, statements int) error {
	if named > MaxNamed || statements > MaxStatements {
		return fault.New(fault.Invalid, "one record names more than %d vulnerabilities, or all together make more than %d statements", MaxNamed, MaxStatements)
	}
	return nil
}

// Compare orders statements by release, package and ID: what belongs to one rule book stands together.
func Compare(a, b Statement) int {
	return cmp.Or(cmp.Compare(a.Release, b.Release), cmp.Compare(a.Package, b.Package), cmp.Compare(a.ID, b.ID))
}
