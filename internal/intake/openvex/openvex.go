// Package openvex reads OpenVEX documents: what their author says of packages of distributions becomes statements, as does what
// is said of other products, for people to read.
package openvex

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/openvex/go-vex/pkg/vex"
	"github.com/package-url/packageurl-go"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
)

// MaxDocument bounds a document, in bytes.
const MaxDocument = 64 << 20

// Product is the release of statements about products that are no package of a release: images, applications, packages of
// which the document does not say in which release. No host has it; people review what is stated.
const Product = "product"

// IsDocument says whether a file can be a document.
func IsDocument(path string) bool { return strings.HasSuffix(path, ".json") }

// Parse makes a parser of documents that keeps the statements about the named releases and about products; about all releases
// when none is named.
//
// What is not OpenVEX 0.2, names no vulnerability, or breaks a rule of the format (a status without the justification that it
// needs) is fault.Invalid. A document says of a package in one version that it is not affected, which says nothing of its
// other versions: that is undetermined. Of several statements about the same the last one counts.
func Parse(releases ...string) intake.DocumentParser {
	return func(_ string, r io.Reader) (intake.Reading, error) { return read(r, releases) }
}

func read(r io.Reader, releases []string) (reading intake.Reading, err error) {
	doc, err := decode(r)
	if err != nil {
		return reading, err
	}
	reading.Revised = latest(doc.Timestamp, doc.LastUpdated)
	last := map[subject]said{}
	for i := range doc.Statements {
		s := &doc.Statements[i]
		if err := s.Validate(); err != nil {
			return intake.Reading{}, fault.New(fault.Invalid, "OpenVEX: statement %d: %w", i+1, err)
		}
		id := nameOf(s.Vulnerability)
		if id == "" {
			return intake.Reading{}, fault.New(fault.Invalid, "OpenVEX: statement %d names no vulnerability", i+1)
		}
		at := latest(doc.Timestamp, s.Timestamp, s.LastUpdated)
		for _, one := range statements(s, id, releases) {
			key := subject{id, one.Package, one.Release, one.Condition, one.Binary}
			if before, known := last[key]; !known || !at.Before(before.at) {
				last[key] = said{at, append(same(before, i), one), i}
			}
		}
	}
	for _, s := range last {
		reading.Statements = append(reading.Statements, s.all...)
	}
	reading.Statements = intake.Lead(reading.Statements)
	return reading, nil
}

// subject is what two statements can be about in common.
type subject struct {
	id, name, release, condition string
	binary                       bool
}

// said is what was last said about a subject; one statement may name it in several versions.
type said struct {
	at        time.Time
	all       []intake.Statement
	statement int
}

func same(before said, statement int) []intake.Statement {
	if before.statement == statement {
		return before.all
	}
	return nil
}

func latest(all ...*time.Time) (t time.Time) {
	for _, x := range all {
		if x != nil && x.After(t) {
			t = *x
		}
	}
	return t
}

func decode(r io.Reader) (doc vex.VEX, err error) {
	in := json.NewDecoder(io.LimitReader(r, MaxDocument+1))
	if err := in.Decode(&doc); err != nil {
		return doc, fault.New(fault.Invalid, "OpenVEX: the document is not OpenVEX's JSON, or is truncated, near byte %d: %w", in.InputOffset(), err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return doc, fault.New(fault.Invalid, "OpenVEX: something follows the document at byte %d", in.InputOffset())
	}
	if !strings.HasPrefix(doc.Context, vex.Context+"/v0.2") {
		return doc, fault.New(fault.Invalid, "OpenVEX: its @context is %.80q, not that of OpenVEX 0.2", doc.Context)
	}
	if doc.Timestamp == nil || doc.Timestamp.IsZero() {
		return doc, fault.New(fault.Invalid, "OpenVEX: the document says not when it was made (timestamp)")
	}
	return doc, nil
}

var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:._-]{1,63}$`)

// nameOf gives the CVE where the statement names one, else the author's own name.
func nameOf(v vex.Vulnerability) string {
	all := append([]vex.VulnerabilityID{v.Name}, v.Aliases...)
	for _, n := range all {
		if strings.HasPrefix(string(n), "CVE-") && name.MatchString(string(n)) {
			return string(n)
		}
	}
	if name.MatchString(string(v.Name)) {
		return string(v.Name)
	}
	return ""
}

// statements gives what one statement says, one for each of its products. Where it names the source package in a release, its
// binary packages there say nothing more.
func statements(s *vex.Statement, id string, releases []string) (all []intake.Statement) {
	packs := make([]pack, 0, len(s.Products))
	sources := map[string]bool{} // releases
	for _, product := range s.Products {
		p := packOf(product)
		if packs = append(packs, p); p.source {
			sources[p.release] = true
		}
	}
	for _, p := range packs {
		if p.release != Product && (len(releases) > 0 && !contains(releases, p.release) || sources[p.release] && !p.source) {
			continue
		}
		all = append(all, p.state(s, id))
	}
	return all
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

// state is the statement about one package.
func (p pack) state(s *vex.Statement, id string) intake.Statement {
	one := intake.Statement{ID: id, Package: p.name, Release: p.release, Condition: p.condition, Scheme: p.scheme, Binary: !p.source && p.release != Product,
		Description: intake.Clip(s.Vulnerability.Description, 200)}
	switch s.Status {
	case vex.StatusNotAffected:
		one.Status, one.Note = intake.NotAffected, strings.ReplaceAll(cmp.Or(string(s.Justification), intake.Clip(s.ImpactStatement, 200)), "_", " ")
		if p.version != "" && p.release != Product {
			one.Status, one.Note = intake.Undetermined, "not affected in version "+p.version+": "+one.Note
		}
	case vex.StatusFixed:
		one.Status, one.FixedVersion = intake.Fixed, p.version
		if p.version == "" {
			one.Status, one.Note = intake.Undetermined, "said to be fixed, without a version"
		}
		if p.release == Product {
			one.Status, one.FixedVersion, one.Note = intake.NotAffected, "", "fixed in this version"
		}
	case vex.StatusAffected:
		one.Status, one.Note = intake.Open, intake.Clip(s.ActionStatement, 200)
	default:
		one.Status, one.Expectation, one.Note = intake.Undetermined, "investigating", cmp.Or(intake.Clip(s.StatusNotes, 200), "under investigation")
	}
	return one
}

// pack is the package that a product is.
type pack struct {
	name, version, release, condition string
	scheme                            intake.Scheme
	source                            bool
}

// packOf reads a product's package URL. A product with components is not the package in itself, but what carries it.
func packOf(product vex.Product) pack {
	text := cmp.Or(product.Identifiers[vex.PURL], product.ID)
	other := pack{name: cmp.Or(intake.Clip(text, 200), Product), release: Product}
	purl, err := packageurl.FromString(text)
	if err != nil || len(product.Subcomponents) > 0 {
		return other
	}
	q := purl.Qualifiers.Map()
	p := pack{name: purl.Name, version: purl.Version, source: q["arch"] == "source" || q["arch"] == "src"}
	p.release, p.condition = intake.ReleaseNamed(q["distro"])
	valid := false
	switch purl.Type {
	case packageurl.TypeDebian:
		valid = deb.ValidName(p.name) && (p.version == "" || deb.ValidVersion(p.version) == nil)
	case packageurl.TypeRPM:
		if epoch := q["epoch"]; epoch != "" && epoch != "0" && p.version != "" {
			p.version = epoch + ":" + p.version
		}
		p.scheme = intake.RPM
		valid = rpm.ValidName(p.name) && (p.version == "" || rpm.ValidVersion(p.version) == nil)
	}
	if !valid || p.release == "" {
		return other
	}
	return p
}
