// Package vex writes what people decided as OpenVEX and CSAF VEX, so that other scanners agree with us.
package vex

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openvex/go-vex/pkg/vex"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// Input is what a document is made of.
type Input struct {
	Author    string    // the organisation
	Namespace string    // URL that document IDs and the publisher's namespace begin with
	At        time.Time // when the document is made
	Decided   []Decided
}

// Decided is a vulnerability with the decision in force for the whole fleet, and where it is.
type Decided struct {
	triage.Decision
	Releases []triage.Release
	Installed
}

// Installed is what hosts have of a source package.
type Installed struct {
	Binaries []string            // binary packages, sorted
	Points   map[string][]string // point releases of the hosts, by release, sorted; see PointOf
}

// Products gives the package URLs that statements about a source package are about: the source, and each binary package that
// hosts have of it, in each release. Scanners of hosts know binary packages only, each by its own name for the release.
func (d Decided) Products() (all []string) {
	_, source, _ := strings.Cut(d.Vulnerability, "/")
	for _, r := range d.Releases {
		known := names(r.Release, d.Points[r.Release])
		all = append(all, "pkg:"+known[0].kind+"/"+source+"?arch=source&distro="+known[0].distro)
		for _, n := range known {
			for _, b := range d.Binaries {
				all = append(all, "pkg:"+n.kind+"/"+b+"?distro="+n.distro)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// status is what a kind of decision is in the words of VEX: what is to be patched, configured or borne is affected; what is put
// off is under investigation. VEX has no word for a false positive, which is not affected for the reason given, nor for an
// accepted risk, which stays affected with what is done about it.
func (d Decided) status() (status vex.Status, action string) {
	switch d.Kind {
	case triage.NotConcerned, triage.Reject:
		return vex.StatusNotAffected, ""
	case triage.Accept:
		var fixed []string
		for _, r := range d.Releases {
			if r.Fixed != "" {
				fixed = append(fixed, r.Fixed+" ("+r.Release+")")
			}
		}
		return vex.StatusAffected, "Update to " + strings.Join(fixed, ", ") + "."
	case triage.Configure:
		return vex.StatusAffected, "Remediated by configuration: " + d.Reason
	case triage.AcceptRisk:
		return vex.StatusAffected, fmt.Sprintf("Risk accepted until %s. Control: %s Plan: %s", d.Until.Format(time.DateOnly), d.Exception.Control, d.Exception.Plan)
	}
	return vex.StatusUnderInvestigation, ""
}

// OpenVEX writes the decisions as an OpenVEX 0.2.0 document. A statement that the format does not allow is an error: nothing
// is exported that a reader would refuse.
func OpenVEX(in Input) ([]byte, error) {
	at := in.At.UTC().Truncate(time.Second)
	doc := vex.VEX{Metadata: vex.Metadata{Context: vex.ContextLocator(), ID: in.Namespace + "/vex/" + at.Format("20060102T150405Z"),
		Author: in.Author, Timestamp: &at, Version: 1, Tooling: "Patchwarrant"}, Statements: []vex.Statement{}}
	for _, d := range in.Decided {
		made := d.MadeAt.UTC().Truncate(time.Second)
		id, _, _ := strings.Cut(d.Vulnerability, "/")
		s := vex.Statement{ID: in.Namespace + "/decisions/" + d.ID, Vulnerability: vex.Vulnerability{Name: vex.VulnerabilityID(id)}, Timestamp: &made}
		for _, p := range d.Products() {
			s.Products = append(s.Products, vex.Product{Component: vex.Component{ID: p, Identifiers: map[vex.IdentifierType]string{vex.PURL: p}}})
		}
		s.Status, s.ActionStatement = d.status()
		if s.Status == vex.StatusNotAffected {
			s.Justification, s.ImpactStatement = vex.Justification(d.Justification), d.Reason
		} else {
			s.StatusNotes = d.Reason
		}
		if err := s.Validate(); err != nil {
			return nil, fault.New(fault.Invalid, "decision %s is no statement of OpenVEX: %w", d.ID, err)
		}
		doc.Statements = append(doc.Statements, s)
	}
	var b bytes.Buffer
	err := doc.ToJSON(&b)
	return b.Bytes(), err
}

// Of chooses what can be written: decisions in force for the whole fleet about what is on hosts. One for a single environment or
// host says nothing that holds for a package everywhere; their IDs are left over.
func Of(view triage.View, installed map[string]Installed) (decided []Decided, left []string) {
	for _, v := range view.Rows {
		for _, d := range v.Decisions {
			if d.Scope != triage.FleetScope || !strings.HasPrefix(v.ID, "CVE-") {
				left = append(left, d.ID)
				continue
			}
			decided = append(decided, Decided{d, v.Releases, installed[v.Source]})
		}
	}
	slices.SortFunc(decided, func(a, b Decided) int { return cmp.Compare(a.Vulnerability, b.Vulnerability) })
	slices.Sort(left)
	return decided, left
}
