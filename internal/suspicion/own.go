package suspicion

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
)

// Ours describes a vulnerability that no source states: the source package, and either the versions affected in each release,
// or hosts whose installed package is affected, by which all versions in their releases are.
type Ours struct {
	Title    string     `json:"title"` // everyone reads it
	Package  string     `json:"package"`
	Severity string     `json:"severity,omitempty"` // see Severities
	Affected []Affected `json:"affected,omitempty"`
	Hosts    []string   `json:"hosts,omitempty"` // by ID or a name
}

// Affected is a release with the version from which on the package is not affected; empty: there is no such version yet.
type Affected struct {
	Release string `json:"release"`
	Fixed   string `json:"fixed_version,omitempty"`
	RPM     bool   `json:"rpm,omitempty"` // versions are compared as rpm does
}

// Severities of a vulnerability of our own.
var Severities = []string{"critical", "high", "medium", "low"}

// Bounds of what one vulnerability of our own names.
const (
	maxReleases = 100
	maxHosts    = 1000
)

var (
	packageForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_+.-]{0,127}$`)
	releaseForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
)

func (n Ours) check() error {
	switch {
	case strings.TrimSpace(n.Title) == "" || !line(n.Title):
		return fault.New(fault.Invalid, "title: want one line of at most %d bytes without control characters", maxLine)
	case !packageForm.MatchString(n.Package):
		return fault.New(fault.Invalid, "package: want the name of a source package; of a weak configuration, the package that is configured")
	case n.Severity != "" && !slices.Contains(Severities, n.Severity):
		return fault.New(fault.Invalid, "severity: want one of %s", strings.Join(Severities, ", "))
	case len(n.Affected)+len(n.Hosts) == 0 || len(n.Affected) > maxReleases || len(n.Hosts) > maxHosts:
		return fault.New(fault.Invalid, "name the releases affected, at most %d, or hosts, at most %d", maxReleases, maxHosts)
	}
	for i, a := range n.Affected {
		if err := a.check(); err != nil {
			return err
		}
		if slices.ContainsFunc(n.Affected[:i], func(o Affected) bool { return o.Release == a.Release }) {
			return fault.New(fault.Invalid, "release %.64q is named twice", a.Release)
		}
	}
	return nil
}

func (a Affected) check() error {
	if !releaseForm.MatchString(a.Release) {
		return fault.New(fault.Invalid, "release: want a codename such as bookworm, or rhel-9")
	}
	valid := deb.ValidVersion
	if a.RPM {
		valid = rpm.ValidVersion
	}
	if a.Fixed != "" && valid(a.Fixed) != nil {
		return fault.New(fault.Invalid, "release %s: the fixed version is no version of a package", a.Release)
	}
	return nil
}

// affected gives the releases of a new vulnerability, those of the hosts that are named among them.
func (x *Suspicions) affected(ctx context.Context, n Ours) ([]Affected, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	all := slices.Clone(n.Affected)
	if len(n.Hosts) > 0 {
		known, err := x.Estate.Known(ctx)
		if err != nil {
			return nil, err
		}
		ids := map[string][]string{}
		for id, names := range known {
			for _, name := range names {
				if !slices.Contains(ids[name], id) {
					ids[name] = append(ids[name], id)
				}
			}
		}
		for _, name := range n.Hosts {
			id := ids[strings.ToLower(strings.TrimSpace(name))]
			if len(id) != 1 {
				return nil, fault.New(fault.Invalid, "hosts: %.100q is the name of %d hosts", name, len(id))
			}
			a, err := x.installed(ctx, id[0], n.Package)
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(all, func(o Affected) bool { return o.Release == a.Release }) {
				all = append(all, a)
			}
		}
	}
	slices.SortFunc(all, func(a, b Affected) int { return cmp.Compare(a.Release, b.Release) })
	return all, nil
}

// installed gives the release of a host that has a source package.
func (x *Suspicions) installed(ctx context.Context, host, source string) (a Affected, err error) {
	h, err := x.Estate.Host(ctx, host)
	if err != nil {
		return a, err
	}
	if h.PackageSet != "" {
		set, err := x.Estate.PackageSet(ctx, h.PackageSet)
		if err != nil {
			return a, err
		}
		for _, p := range set {
			if p.Source == source {
				return Affected{Release: h.Release, RPM: p.RPM != nil}, nil
			}
		}
	}
	return a, fault.New(fault.Invalid, "hosts: %s has nothing of the source package %s", h.Name, source)
}

// entry is a vulnerability of our own, as the source states it.
type entry struct {
	ID        string     `json:"id"`
	Suspicion string     `json:"suspicion"`
	Title     string     `json:"title"`
	Package   string     `json:"package"`
	Severity  string     `json:"severity,omitempty"`
	Affected  []Affected `json:"affected"`
	Withdrawn bool       `json:"withdrawn,omitempty"` // a later answer says otherwise
}

// own gives a new vulnerability its identifier, PW-YEAR-NUMBER. One suspicion makes one at most: a later answer restates it, or
// withdraws it where it says something else.
func (x *Suspicions) own(ctx context.Context, tx *db.Tx, s Suspicion, a Answer, affected []Affected) (Answer, error) {
	e, known, err := loadOwn(ctx, tx, s.ID)
	if err != nil || a.New == nil && !known {
		return a, err
	}
	if a.New == nil {
		e.Withdrawn = a.Vulnerability != e.ID+"/"+e.Package
		return a, saveOwn(ctx, tx, e)
	}
	year := a.At.Year()
	e.Suspicion, e.Title, e.Package, e.Severity, e.Affected, e.Withdrawn = s.ID, a.New.Title, a.New.Package, a.New.Severity, affected, false
	if !known {
		n, err := lastOwn(ctx, tx, year)
		if err != nil {
			return a, err
		}
		e.ID = fmt.Sprintf("PW-%d-%04d", year, n+1)
		err = insertOwn(ctx, tx, e, year, n+1)
		a.Vulnerability = e.ID + "/" + e.Package
		return a, err
	}
	a.Vulnerability = e.ID + "/" + e.Package
	return a, saveOwn(ctx, tx, e)
}

// Publish is the sweep that states all vulnerabilities of our own through their source, with the checks that every source has.
// The same ones again only set its freshness clock.
func (x *Suspicions) Publish(ctx context.Context) error {
	all := []entry{}
	err := x.DB.Read(ctx, func(tx *db.Tx) error {
		kept, err := loadAllOwn(ctx, tx)
		all = append(all, kept...)
		return err
	})
	if err != nil {
		return err
	}
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	_, err = x.Intake.Import(ctx, "", intake.Own, bytes.NewReader(b), "answers of the CIRT")
	return err
}

// maxOwn bounds the list of our own vulnerabilities, in bytes.
const maxOwn = 64 << 20

// Source is the source of our own vulnerabilities. It is made from what people answered, so only the server feeds it.
var Source = intake.Source{Name: intake.Own, Parse: parse, MaxBytes: maxOwn, MaxAge: 24 * time.Hour, Inside: true}

// parse reads what Publish wrote; anything else is fault.Invalid.
func parse(r io.Reader) (reading intake.Reading, err error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var all []entry
	if err := d.Decode(&all); err != nil {
		return reading, fault.New(fault.Invalid, "our own vulnerabilities: %w", err)
	}
	seen := map[string]bool{}
	for _, e := range all {
		n := Ours{Title: e.Title, Package: e.Package, Severity: e.Severity, Affected: e.Affected}
		if err := n.check(); err != nil {
			return reading, fmt.Errorf("our own vulnerabilities: %.40q: %w", e.ID, err)
		}
		if !ownForm.MatchString(e.ID) || seen[e.ID] {
			return reading, fault.New(fault.Invalid, "our own vulnerabilities: %.40q is no identifier of ours, or comes twice", e.ID)
		}
		seen[e.ID] = true
		for _, a := range e.Affected {
			reading.Statements = append(reading.Statements, e.statement(a))
		}
	}
	reading.Statements = intake.Lead(reading.Statements)
	return reading, nil
}

var ownForm = regexp.MustCompile(`^PW-[0-9]{4}-[0-9]{4,9}$`)

func (e entry) statement(a Affected) intake.Statement {
	s := intake.Statement{Package: e.Package, Release: a.Release, ID: e.ID, Urgency: e.Severity, Description: e.Title, Note: "found here: " + e.Suspicion,
		Status: intake.Open}
	if a.RPM {
		s.Scheme = intake.RPM
	}
	switch {
	case e.Withdrawn:
		s.Status, s.Note = intake.NotAffected, "withdrawn: "+e.Suspicion
	case a.Fixed != "":
		s.Status, s.FixedVersion = intake.Fixed, a.Fixed
	}
	return s
}
