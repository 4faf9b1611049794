package csaf

import (
	"cmp"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
)

// Product is the release of statements about products that are no package of a Linux distribution: devices, applications.
// No host has it; people review what is stated.
const Product = "product"

// IsDocument reports whether a file of a provider's directory is a CSAF document: JSON, and none of the provider's own
// metadata, service and feed files.
func IsDocument(p string) bool {
	base := path.Base(p)
	return strings.HasSuffix(base, ".json") && base != "provider-metadata.json" && base != "service.json" && base != "aggregator.json" &&
		!strings.HasPrefix(base, "category") && !strings.Contains(base, "feed")
}

// Parse makes a parser of documents that keeps the statements about the named releases and about products; about all
// releases when none is named.
//
// A product that names a package by its purl states about that package; what is fixed and names none states that its
// version is the fixed one. Damage to the document's form is fault.Invalid, as is a status about a product that the document
// does not define.
func Parse(releases ...string) intake.DocumentParser {
	return parser{releases: releases, all: true}.parse
}

// RedHat is Parse for Red Hat's advisories and VEX documents. Of its products only the releases of RHEL with their
// extended support streams are kept.
func RedHat(releases ...string) intake.DocumentParser {
	return parser{releases: releases}.parse
}

type parser struct {
	releases []string
	all      bool // what is no package too
}

func (p parser) parse(_ string, r io.Reader) (intake.Reading, error) {
	d, err := decode(r)
	if err != nil {
		return intake.Reading{}, err
	}
	reading := intake.Reading{Revised: d.Document.Tracking.Revised}
	known, related := d.products(), make(map[string]relationship, len(d.Tree.Relationships))
	for _, r := range d.Tree.Relationships {
		related[r.Full.ID] = r
	}
	for _, v := range d.Vulnerabilities {
		s := speech{parser: p, document: &d, vulnerability: &v, known: known, related: related}
		if s.id = v.id(d.Document.Tracking.ID); !name.MatchString(s.id) {
			return intake.Reading{}, fault.New(fault.Invalid, "CSAF: %q is no name of a vulnerability", intake.Clip(s.id, 200))
		}
		if err := s.read(); err != nil {
			return intake.Reading{}, err
		}
		reading.Statements = append(reading.Statements, s.statements...)
	}
	reading.Statements = intake.Lead(reading.Statements)
	return reading, nil
}

// id is the CVE, or the publisher's own name, or the document's.
func (v vulnerability) id(tracking string) string {
	if v.CVE != "" {
		return v.CVE
	}
	for _, other := range v.IDs {
		if name.MatchString(other.Text) {
			return other.Text
		}
	}
	return strings.ReplaceAll(tracking, " ", "-")
}

// speech is what a document says about one vulnerability.
type speech struct {
	parser
	*document
	*vulnerability
	id         string
	known      map[string]product
	related    map[string]relationship
	words      map[string]words // by product ID
	statements []intake.Statement
}

// words are what is said about one product beside its status.
type words struct{ impact, advisory, remedy, remedyDetails, label, vector string }

// statuses of CSAF and what they are for us. "recommended" adds nothing.
var statuses = map[string]intake.Status{
	"fixed": intake.Fixed, "first_fixed": intake.Fixed, "known_affected": intake.Open, "first_affected": intake.Open, "last_affected": intake.Open,
	"known_not_affected": intake.NotAffected, "under_investigation": intake.Undetermined, "recommended": "",
}

func (s *speech) read() error {
	s.gather()
	for _, word := range slices.Sorted(maps.Keys(s.vulnerability.Status)) {
		status, ok := statuses[word]
		if !ok {
			return fault.New(fault.Invalid, "CSAF: %s: unknown product status %q", s.id, intake.Clip(word, 200))
		}
		if status == "" {
			continue
		}
		ids := s.vulnerability.Status[word]
		sources := covered{}
		for _, id := range ids {
			if _, ok := s.known[id]; !ok {
				return fault.New(fault.Invalid, "CSAF: %s: the product %q is not defined in the document", s.id, intake.Clip(id, 200))
			}
			if pack := s.pack(id); pack.source {
				sources.add(pack)
			}
		}
		for _, id := range ids {
			s.state(id, status, sources)
		}
	}
	return nil
}

// maxWords bounds what is said about many products at once, in bytes, before it is read for each of them.
const maxWords = 1000

// gather sorts what is said by product.
func (s *speech) gather() {
	s.words = map[string]words{}
	say := func(products []string, set func(*words)) {
		for _, id := range products {
			w := s.words[id]
			set(&w)
			s.words[id] = w
		}
	}
	for _, t := range s.Threats {
		if t.Category == "impact" {
			impact := intake.Clip(t.Details, maxWords)
			say(t.Products, func(w *words) { w.impact = impact })
		}
	}
	for _, f := range s.Flags {
		label := intake.Clip(f.Label, maxWords)
		say(f.Products, func(w *words) { w.label = label })
	}
	for _, r := range s.Remediations {
		switch r.Category {
		case "vendor_fix":
			if advisory := path.Base(r.URL); name.MatchString(advisory) && strings.ContainsAny(advisory, "0123456789") {
				say(r.Products, func(w *words) { w.advisory = max(w.advisory, advisory) })
			}
		case "no_fix_planned", "none_available":
			details := intake.Clip(r.Details, maxWords)
			say(r.Products, func(w *words) { w.remedy, w.remedyDetails = r.Category, details })
		}
	}
	for _, score := range s.Scores {
		say(score.Products, func(w *words) { w.vector = cmp.Or(score.V4.Vector, score.V3.Vector) })
	}
}

// state adds the statement about one product.
func (s *speech) state(id string, status intake.Status, sources covered) {
	pack, w := s.pack(id), s.words[id]
	one := intake.Statement{ID: s.id, Status: status, Urgency: intake.Clip(cmp.Or(w.impact, s.Document.Severity.Text), 200), Vector: intake.Clip(w.vector, 200),
		Description: intake.Clip(cmp.Or(s.Title, s.Document.Title), 200)}
	if pack.release == "" && !s.all {
		return
	}
	if pack.release == "" {
		p := s.known[id]
		one.Package, one.Release = intake.Clip(cmp.Or(p.Name, id, Product), 200), Product
		if status == intake.Fixed { // the product that is named is the fixed one
			one.Status, one.Note = intake.NotAffected, "fixed in this version"
		}
	} else {
		if len(s.releases) > 0 && !slices.Contains(s.releases, pack.release) || !pack.source && sources.has(pack) {
			return
		}
		one.Package, one.Release, one.Condition, one.Module, one.Scheme, one.Binary = pack.name, pack.release, pack.condition, pack.module, pack.scheme, !pack.source
		if status == intake.Fixed {
			one.FixedVersion = pack.version
			one.Advisory = w.advisory
			if s.Document.Category == "csaf_security_advisory" {
				one.Advisory = strings.ReplaceAll(s.Document.Tracking.ID, " ", "-")
			}
			if pack.version == "" {
				one.Status, one.Note = intake.Undetermined, "the publisher says fixed without a version"
			}
		}
	}
	s.explain(&one, w)
	s.statements = append(s.statements, one)
}

// explain says why there is no fix, or why nothing is affected.
func (s *speech) explain(one *intake.Statement, w words) {
	if strings.Contains(strings.TrimSpace(w.impact), " ") { // a sentence: why nothing is affected, no rating
		one.Urgency, one.Note = intake.Clip(s.Document.Severity.Text, 200), intake.Clip(w.impact, 200)
	}
	switch {
	case one.Status == intake.NotAffected && w.label != "" && one.Note == "":
		one.Note = strings.ReplaceAll(intake.Clip(w.label, 200), "_", " ")
	case one.Status == intake.Undetermined && one.Note == "":
		one.Expectation, one.Note = "investigating", "the publisher is investigating"
	case one.Status == intake.Open && w.remedy != "":
		one.Note = intake.Clip(w.remedyDetails, 200)
		switch details := strings.ToLower(w.remedyDetails); {
		case strings.HasPrefix(details, "out of support"):
			one.Expectation = "end-of-life"
		case w.remedy == "no_fix_planned":
			one.Expectation = "ignored"
		case strings.HasPrefix(details, "fix deferred"):
			one.Expectation = "postponed"
		}
	}
}

// pack is the package that a product ID means.
type pack struct {
	platform              string // product ID; of a product without one its release
	release, condition    string
	name, version, module string
	scheme                intake.Scheme
	source                bool
}

func (s *speech) pack(id string) pack {
	r, ok := s.related[id]
	if !ok {
		p := s.packageOf(pack{}, s.known[id].Helper.PURL)
		p.platform = p.release
		return p
	}
	p := pack{platform: r.Platform}
	p.release, p.condition = releaseOf(s.known[r.Platform].Helper.CPE)
	return s.packageOf(p, cmp.Or(s.known[r.Component].Helper.PURL, s.known[id].Helper.PURL))
}

// packageOf reads the purl; without one of a package, the result has no release.
func (s *speech) packageOf(p pack, text string) pack {
	purl, err := packageurl.FromString(text)
	if err != nil {
		p.release = ""
		return p
	}
	qualifiers := purl.Qualifiers.Map()
	switch {
	case purl.Type == packageurl.TypeRPM && rpm.ValidName(purl.Name):
		p.name, p.scheme, p.source = purl.Name, intake.RPM, qualifiers["arch"] == "src" || qualifiers["arch"] == "source"
		if module := strings.SplitN(qualifiers["rpmmod"], ":", 3); len(module) >= 2 {
			p.module = intake.Clip(module[0]+":"+module[1], 200)
		}
		if p.version = purl.Version; p.version != "" {
			if epoch := qualifiers["epoch"]; epoch != "" && epoch != "0" {
				p.version = epoch + ":" + p.version
			}
			if rpm.ValidVersion(p.version) != nil {
				p.version = ""
			}
		}
	case purl.Type == packageurl.TypeDebian && deb.ValidName(purl.Name):
		p.name, p.source = purl.Name, qualifiers["arch"] == "source"
		if deb.ValidVersion(purl.Version) == nil {
			p.version = purl.Version
		}
	default:
		p.release = ""
		return p
	}
	if p.release == "" {
		p.release, p.condition = intake.ReleaseNamed(qualifiers["distro"])
	}
	return p
}
