// Package ubuntu reads what Canonical says about vulnerabilities beside its OSV records: security notices (USN) as the API
// gives them, and OVAL 5.11 definitions.
package ubuntu

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// MaxNotices bounds a page of notices, in bytes.
const MaxNotices = 64 << 20

// page is an answer of ubuntu.com/security/notices.json; the fields we use.
type page struct {
	Notices []notice `json:"notices"`
}

type notice struct {
	ID       string                      `json:"id"`
	Title    string                      `json:"title"`
	Hidden   bool                        `json:"is_hidden"`
	CVEs     []string                    `json:"cves_ids"`
	Packages map[string][]noticedPackage `json:"release_packages"` // by codename
}

type noticedPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Source  bool   `json:"is_source"`
	Pocket  string `json:"pocket"` // "security", or "esm-infra", "esm-apps", … which only Ubuntu Pro has
}

var (
	name     = regexp.MustCompile(`^[A-Z]{2,5}-[0-9A-Za-z.-]{1,40}$`)
	codename = regexp.MustCompile(`^[a-z]{3,20}$`)
)

// Notices makes a parser of a page of notices that keeps what is said about the named releases; about all when none is
// named. A notice states of the source packages it names; of the binary ones where it names no source. One without a version
// or without a CVE still states that there was something.
func Notices(releases ...string) intake.DocumentParser {
	return func(_ string, r io.Reader) (intake.Reading, error) {
		d := json.NewDecoder(io.LimitReader(r, MaxNotices+1))
		var p page
		if err := d.Decode(&p); err != nil {
			return intake.Reading{}, fault.New(fault.Invalid, "Ubuntu notices: the page is not the API's JSON, or is truncated, near byte %d: %w", d.InputOffset(), err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) || p.Notices == nil {
			return intake.Reading{}, fault.New(fault.Invalid, "Ubuntu notices: this is no page of notices and nothing else")
		}
		var reading intake.Reading
		for _, n := range p.Notices {
			statements, err := n.statements(releases)
			if err == nil {
				err = intake.Bounded(0, len(reading.Statements)+len(statements))
			}
			if err != nil {
				return intake.Reading{}, err
			}
			reading.Statements = append(reading.Statements, statements...)
		}
		reading.Statements = intake.Lead(reading.Statements)
		return reading, nil
	}
}

func (n notice) statements(releases []string) (all []intake.Statement, err error) {
	ids := slices.DeleteFunc(slices.Clone(n.CVEs), func(id string) bool { return !name.MatchString(id) })
	packages := 0
	for _, of := range n.Packages {
		packages += len(of)
	}
	if err := intake.Bounded(len(n.CVEs), len(n.CVEs)*packages); err != nil {
		return nil, fmt.Errorf("read Ubuntu notices: %w", err)
	}
	if !name.MatchString(n.ID) {
		return nil, fault.New(fault.Invalid, "Ubuntu notices: %q is no name of a notice", intake.Clip(n.ID, 200))
	}
	if n.Hidden {
		return nil, nil
	}
	if len(ids) == 0 {
		ids = []string{n.ID}
	}
	for release, packages := range n.Packages {
		if !codename.MatchString(release) {
			return nil, fault.New(fault.Invalid, "Ubuntu notices: %s: %q is no release", n.ID, intake.Clip(release, 200))
		}
		if len(releases) > 0 && !slices.Contains(releases, release) {
			continue
		}
		sources := slices.ContainsFunc(packages, func(p noticedPackage) bool { return p.Source })
		for _, p := range packages {
			if p.Source != sources {
				continue
			}
			s, err := p.statement()
			if err != nil {
				return nil, fault.New(fault.Invalid, "Ubuntu notices: %s: %w", n.ID, err)
			}
			s.Release, s.Advisory, s.Description = release, n.ID, intake.Clip(n.Title, 200)
			for _, id := range ids {
				s.ID = id
				all = append(all, s)
			}
		}
	}
	return all, nil
}

func (p noticedPackage) statement() (intake.Statement, error) {
	s := intake.Statement{Package: p.Name, Binary: !p.Source, Status: intake.Fixed, FixedVersion: p.Version}
	if !deb.ValidName(p.Name) {
		return s, fault.New(fault.Invalid, "%q is no name of a package", intake.Clip(p.Name, 200))
	}
	if deb.ValidVersion(p.Version) != nil {
		s.Status, s.FixedVersion, s.Note = intake.Undetermined, "", "the notice names no version"
	}
	if p.Pocket != "" && p.Pocket != "security" && p.Pocket != "updates" {
		s.Condition = intake.Clip(p.Pocket, 200)
	}
	return s, nil
}
