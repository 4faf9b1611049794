// Package debian reads what Debian says about vulnerabilities: the security tracker's JSON, and the archive itself (versions
// of the security suite with the CVE names of changelogs), which needs no feed.
package debian

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// Names under which Debian's statements are kept; a server's sources of these kinds are registered under them.
const (
	TrackerSource = "debian-tracker"
	ArchiveSource = "debian-archive"
)

// MaxTracker bounds the tracker's JSON, in bytes. The whole file of all releases had about 70 MB in 2026.
const MaxTracker = 256 << 20

// trackerIssue is a (source package, vulnerability) record of the tracker. Fields we do not use (repositories, debianbug)
// are left out. Source of the format: the generator, lib/python and bin/tracker_service.py of Debian's security-tracker.
type trackerIssue struct {
	Description string          `json:"description"`
	Scope       string          `json:"scope"`
	Releases    trackerReleases `json:"releases"`
}

type trackerReleases map[string]trackerRelease

// UnmarshalJSON also takes an empty list for none, which real copies of the tracker hold (chromium-browser CVE-2022-0358).
func (r *trackerReleases) UnmarshalJSON(b []byte) error {
	if string(b) == "[]" {
		return nil
	}
	return json.Unmarshal(b, (*map[string]trackerRelease)(r))
}

type trackerRelease struct {
	Status          string `json:"status"`
	FixedVersion    string `json:"fixed_version"`
	Urgency         string `json:"urgency"`
	NoDSA           string `json:"nodsa"`
	NoDSAReason     string `json:"nodsa_reason"`
	NextPointUpdate bool   `json:"next_point_update"`
}

// Tracker makes a parser of the security tracker's data/json that keeps the statements about the named releases; about
// all of them when none is named. It streams source by source. Damage to the document's form is an error of kind
// fault.Invalid, and so is a document that says nothing about the releases; a single record that cannot be used becomes an
// undetermined statement that says why.
func Tracker(releases ...string) intake.Parser {
	return func(r io.Reader) (intake.Reading, error) {
		return (&trackerParser{releases: releases}).parse(r)
	}
}

// TrackerOf is Tracker for one release and the statements about some source packages; it is quicker, since it does not look
// into what is said about others.
func TrackerOf(release string, sources map[string]bool) intake.Parser {
	return func(r io.Reader) (intake.Reading, error) {
		return (&trackerParser{releases: []string{release}, sources: sources}).parse(r)
	}
}

func orAny(releases []string) string {
	if len(releases) == 0 {
		return "any release"
	}
	return strings.Join(releases, ", ")
}

type trackerParser struct {
	releases   []string
	sources    map[string]bool   // wanted; nil: all
	spoken     bool              // there is a record about one of the releases
	words      map[string]string // interned release names and urgencies
	seen       map[string]bool   // sources read
	statements []intake.Statement
}

func (p *trackerParser) parse(r io.Reader) (intake.Reading, error) {
	p.words, p.seen = make(map[string]string), make(map[string]bool)
	if err := p.document(json.NewDecoder(r)); err != nil {
		return intake.Reading{}, err
	}
	if !p.spoken {
		return intake.Reading{}, fault.New(fault.Invalid,
			"Debian tracker: the file holds no record for %s; is it the tracker's data/json?", orAny(p.releases))
	}
	slices.SortFunc(p.statements, intake.Compare)
	return intake.Reading{Statements: p.statements}, nil
}

// document reads { source: { vulnerability: record } } and nothing after it.
func (p *trackerParser) document(d *json.Decoder) error {
	if t, err := d.Token(); err != nil {
		return damaged(d, "is not JSON", err)
	} else if t != json.Delim('{') {
		return fault.New(fault.Invalid, "Debian tracker: the file is JSON but not an object of source packages")
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return damaged(d, "is not JSON", err)
		}
		source := t.(string) // the decoder gives only strings as keys
		if !deb.ValidName(source) || p.seen[source] {
			return fault.New(fault.Invalid, "Debian tracker: %q is no source package name, or stands twice", intake.Clip(source, 80))
		}
		p.seen[source] = true
		var issues map[string]trackerIssue
		var into any = &issues
		if p.spoken && !p.wants(source) {
			into = new(json.RawMessage)
		}
		if err := d.Decode(into); err != nil {
			return damaged(d, "has a bad record for source "+source, err)
		}
		if err := p.source(source, issues); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return damaged(d, "is not JSON", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "Debian tracker: something follows the document at byte %d", d.InputOffset())
	}
	return nil
}

func damaged(d *json.Decoder, what string, err error) error {
	if errors.Is(err, io.EOF) && d.InputOffset() == 0 {
		return fault.New(fault.Invalid, "Debian tracker: the file is empty")
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Invalid, "Debian tracker: the file is truncated after %d bytes", d.InputOffset())
	}
	if _, typed := errors.AsType[*json.UnmarshalTypeError](err); !typed {
		if _, syntax := errors.AsType[*json.SyntaxError](err); !syntax {
			return fmt.Errorf("read Debian tracker: %w", err)
		}
	}
	return fault.New(fault.Invalid, "Debian tracker: the file %s near byte %d: %w", what, d.InputOffset(), err)
}

func (p *trackerParser) source(source string, issues map[string]trackerIssue) error {
	for id, issue := range issues {
		if !validID(id) {
			return fault.New(fault.Invalid, "Debian tracker: source %s: %q is no name of a vulnerability", source, intake.Clip(id, 80))
		}
		for release, record := range issue.Releases {
			if len(p.releases) > 0 && !slices.Contains(p.releases, release) {
				continue
			}
			if !validRelease(release) {
				return fault.New(fault.Invalid, "Debian tracker: source %s: %q is no name of a release", source, intake.Clip(release, 80))
			}
			p.spoken = true
			if !p.wants(source) {
				continue
			}
			s := record.statement()
			s.Source, s.Package, s.ID = TrackerSource, source, id
			s.Release, s.Urgency = p.word(release), p.word(s.Urgency)
			s.Scope, s.Description = p.word(issue.Scope), issue.Description
			p.statements = append(p.statements, s)
		}
	}
	return nil
}

func (p *trackerParser) wants(source string) bool { return p.sources == nil || p.sources[source] }

func (p *trackerParser) word(w string) string {
	if known, ok := p.words[w]; ok {
		return known
	}
	p.words[w] = w
	return w
}

// statement applies the tracker's meaning: "resolved" is relative to the release, never to a host; fixed_version "0" means
// never affected; nodsa stands only beside open.
func (r trackerRelease) statement() intake.Statement {
	s := intake.Statement{Urgency: r.Urgency, Note: r.NoDSA}
	switch {
	case r.Status == "resolved" && r.FixedVersion == "0":
		s.Status = intake.NotAffected
	case r.Status == "resolved" && deb.ValidVersion(r.FixedVersion) == nil:
		s.Status, s.FixedVersion = intake.Fixed, r.FixedVersion
	case r.Status == "resolved" && r.FixedVersion == "":
		s.Status, s.Note = intake.Undetermined, "the tracker says resolved without a fixed version"
	case r.Status == "resolved":
		s.Status, s.Note = intake.Undetermined, "the tracker's fixed version is no Debian version: "+intake.Clip(r.FixedVersion, 80)
	case r.Status == "open":
		s.Status = intake.Open
	case r.Status == "undetermined":
		s.Status = intake.Undetermined
	default:
		s.Status, s.Note = intake.Undetermined, "the tracker gives an unknown status: "+intake.Clip(r.Status, 80)
	}
	switch {
	case r.NextPointUpdate:
		s.Expectation = "next-point-update"
	case r.NoDSAReason != "":
		s.Expectation = intake.Clip(r.NoDSAReason, 80)
	case r.NoDSA != "":
		s.Expectation = "no-dsa"
	case r.Urgency == "end-of-life":
		s.Expectation = "end-of-life"
	}
	return s
}

// validID: CVE-YYYY-NNNN… or the tracker's TEMP-NNNNNNN-XXXXXX; the form is kept wide, the letters narrow.
func validID(s string) bool {
	return len(s) >= 4 && len(s) <= 64 && (strings.HasPrefix(s, "CVE-") || strings.HasPrefix(s, "TEMP-")) && only(strings.ToLower(s))
}

func validRelease(s string) bool {
	return s != "" && len(s) <= 32 && only(s)
}

// only: lower-case letters, digits and hyphens.
func only(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
