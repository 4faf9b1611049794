package debian

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// MaxList bounds data/DSA/list, data/DLA/list and data/CVE/list, in bytes. The last had about 60 MB in 2026.
const MaxList = 256 << 20

// maxListLine bounds a line, in bytes: a long one names some hundred vulnerabilities.
const maxListLine = 256 << 10

var (
	advisoryLine = regexp.MustCompile(`^\[[0-9]{1,2} [A-Z][a-z]{2} [0-9]{4}\] (D[SLT]+A-[0-9]+(?:-[0-9]+)?)(?: (.*))?$`)
	issueLine    = regexp.MustCompile(`^((?:CVE|TEMP)-[0-9A-FX-]+)(?: .*)?$`)
	packageLine  = regexp.MustCompile(`^\s+(?:\[([a-z]+)\]\s+)?-\s+(\S+)(?:\s+(\S+))?(?:\s+\(?(.*?)\)?)?\s*$`)
)

// Advisories makes a parser of the security tracker's lists of advisories, data/DSA/list and data/DLA/list, that keeps what
// is said about the named releases; about all of them when none is named. An advisory without a CVE, such as one that
// corrects another, states itself. A line of another form is fault.Invalid.
func Advisories(releases ...string) intake.Parser {
	return func(r io.Reader) (intake.Reading, error) {
		return (&listParser{what: "list of advisories", head: advisoryLine, releases: releases}).parse(r)
	}
}

// Issues makes a parser of the security tracker's data/CVE/list. It states only what the list says of a release by name;
// what it says of the unstable distribution is stated of "sid".
func Issues(releases ...string) intake.Parser {
	return func(r io.Reader) (intake.Reading, error) {
		return (&listParser{what: "list of vulnerabilities", head: issueLine, releases: releases}).parse(r)
	}
}

// listParser reads entries: a head line, and lines below it that begin with blanks.
type listParser struct {
	what     string
	head     *regexp.Regexp
	releases []string

	advisory, title string
	ids             []string
	number, entries int
	statements      []intake.Statement
}

func (p *listParser) parse(r io.Reader) (intake.Reading, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxListLine)
	for lines.Scan() {
		p.number++
		if err := p.line(lines.Text()); err != nil {
			return intake.Reading{}, err
		}
	}
	if err := lines.Err(); err != nil {
		return intake.Reading{}, fault.New(fault.Invalid, "Debian %s: damaged after line %d: %w", p.what, p.number, err)
	}
	if p.entries == 0 {
		return intake.Reading{}, fault.New(fault.Invalid, "Debian %s: the file holds no entry", p.what)
	}
	return intake.Reading{Statements: intake.Lead(p.statements)}, nil
}

func (p *listParser) line(line string) error {
	switch trimmed := strings.TrimSpace(line); {
	case trimmed == "":
	case trimmed == line || !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, " "):
		m := p.head.FindStringSubmatch(line)
		if m == nil {
			return fault.New(fault.Invalid, "Debian %s: line %d is no entry: %q", p.what, p.number, intake.Clip(line, 80))
		}
		p.entries++
		p.advisory, p.title, p.ids = "", "", []string{m[1]}
		if p.head == advisoryLine {
			p.advisory, p.title = m[1], m[2]
		}
	case p.entries == 0:
		return fault.New(fault.Invalid, "Debian %s: line %d stands before the first entry", p.what, p.number)
	case strings.HasPrefix(trimmed, "{"):
		p.cross(trimmed)
	case strings.HasPrefix(trimmed, "- ") || strings.HasPrefix(trimmed, "["):
		return p.pack(line)
	}
	return nil // NOTE, TODO, NOT-FOR-US, RESERVED, REJECTED
}

// cross reads {CVE-… CVE-…} of an advisory; the list of vulnerabilities has {DSA-…} there, which the other list tells.
func (p *listParser) cross(line string) {
	if p.advisory == "" {
		return
	}
	var ids []string
	for _, id := range strings.Fields(strings.Trim(line, "{}")) {
		if validID(id) {
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		p.ids = ids
	}
}

// pack reads "[release] - package version-or-<word> (text)".
func (p *listParser) pack(line string) error {
	m := packageLine.FindStringSubmatch(line)
	if m == nil || !deb.ValidName(m[2]) {
		return fault.New(fault.Invalid, "Debian %s: line %d names no package: %q", p.what, p.number, intake.Clip(line, 80))
	}
	s := intake.Statement{Package: m[2], Release: m[1], Advisory: p.advisory, Description: p.title}
	if s.Release == "" {
		s.Release = "sid"
	}
	if len(p.releases) > 0 && !slices.Contains(p.releases, s.Release) {
		return nil
	}
	switch version, text := m[3], intake.Clip(m[4], 80); version {
	case "<not-affected>":
		s.Status, s.Note = intake.NotAffected, text
	case "<unfixed>":
		s.Status = intake.Open
	case "<no-dsa>", "<ignored>", "<postponed>", "<end-of-life>":
		s.Status, s.Note, s.Expectation = intake.Open, text, strings.Trim(version, "<>")
	case "<undetermined>":
		s.Status, s.Note = intake.Undetermined, text
	case "<removed>", "<itp>", "": // no such package there
		return nil
	default:
		if s.Status, s.FixedVersion = intake.Fixed, version; deb.ValidVersion(version) != nil {
			s.Status, s.FixedVersion, s.Note = intake.Undetermined, "", "the list's fixed version is no Debian version: "+intake.Clip(version, 80)
		}
	}
	for _, id := range p.ids {
		s.ID = id
		p.statements = append(p.statements, s)
	}
	if err := intake.Bounded(len(p.ids), len(p.statements)); err != nil {
		return fmt.Errorf("read Debian %s: line %d: %w", p.what, p.number, err)
	}
	return nil
}
