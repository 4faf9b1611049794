package scanner

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"regexp"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// spdxList is a component list of SPDX 2. It knows no vulnerabilities, only links of a package to advisories: those that name
// a CVE or an advisory become records. Source: SPDX 2.3, clause 7.21 and annex K.
type spdxList struct {
	in   *input
	host Host
	is   bool // the document says it is SPDX 2
	held []Row
}

type spdxReference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxPackage struct {
	Name       string          `json:"name"`
	Version    string          `json:"versionInfo"`
	SourceInfo string          `json:"sourceInfo"`
	Purpose    string          `json:"primaryPackagePurpose"`
	References []spdxReference `json:"externalRefs"`
}

// spdx reads a component list as JSON or as tags with values.
func spdx(in *input, host string) error {
	l := &spdxList{in: in, host: Host{Name: host, Credentialed: true}}
	read := l.tags
	if in.begins("{") {
		read = l.document
	}
	if err := read(); err != nil {
		return err
	}
	if !l.is {
		return fault.New(fault.Invalid, "spdx: the document does not say that it is of version 2")
	}
	if err := in.host(l.host); err != nil {
		return err
	}
	for _, r := range l.held {
		r.Host = l.host.Name
		if err := in.row(r); err != nil {
			return err
		}
	}
	return nil
}

func (l *spdxList) version(s string) { l.is = strings.HasPrefix(s, "SPDX-2.") }
func (l *spdxList) name(s string)    { l.host.Name = cmp.Or(l.host.Name, s) }

// creator takes the program's name out of "Tool: name-version".
func (l *spdxList) creator(s string) {
	tool, is := strings.CutPrefix(s, "Tool:")
	if !is || l.in.report.Version != "" {
		return
	}
	tool = strings.TrimSpace(tool)
	l.in.report.Scanner = tool
	if i := strings.LastIndexByte(tool, '-'); i > 0 {
		l.in.report.Scanner, l.in.report.Version = tool[:i], tool[i+1:]
	}
}

var otherAdvisory = regexp.MustCompile(`GHSA(-[0-9a-z]{4}){3}`)

// pack takes a package, and holds what its links name: the document's name may come after it.
func (l *spdxList) pack(p spdxPackage) error {
	c := bomComponent{Name: p.Name, Version: p.Version, SourceInfo: p.SourceInfo, Type: strings.ReplaceAll(strings.ToLower(p.Purpose), "_", "-")}
	var ids []string
	for _, r := range p.References {
		switch {
		case r.Type == "purl":
			c.PURL = cmp.Or(c.PURL, r.Locator)
		case r.Category == "SECURITY" && r.Type == "advisory":
			ids = append(append(ids, intake.Named(r.Locator)...), otherAdvisory.FindAllString(r.Locator, 10)...)
		}
	}
	if l.in.component != nil {
		if err := l.in.component(c); err != nil {
			return err
		}
	}
	cves, advisories := sortIDs(ids)
	if len(cves)+len(advisories) == 0 {
		l.in.refuse(informational)
		return nil
	}
	for _, id := range append(cves, advisories...) {
		r := Row{Plugin: "spdx-" + id, Claim: Undetermined, Packages: []Package{packageOf(c)}}
		if r.CVEs = []string{id}; !cveForm.MatchString(id) {
			r.CVEs, r.Advisories = nil, []string{id}
		}
		if l.held = append(l.held, r); len(l.held) > maxComponents {
			return fault.New(fault.Invalid, "spdx: more than %d links to advisories", maxComponents)
		}
	}
	return nil
}

func (l *spdxList) document() error {
	j := l.in.json()
	err := j.object(func(key string) error {
		var text string
		switch key {
		case "spdxVersion":
			err := j.read(&text)
			l.version(text)
			return err
		case "name":
			err := j.read(&text)
			l.name(text)
			return err
		case "creationInfo":
			var made struct {
				Created  string
				Creators []string
			}
			err := j.read(&made)
			l.in.report.TakenAt = moment(made.Created)
			for _, c := range made.Creators {
				l.creator(c)
			}
			return err
		case "packages":
			return j.array(func() error {
				var p spdxPackage
				if err := j.read(&p); err != nil {
					return err
				}
				return l.pack(p)
			})
		}
		return j.skip()
	})
	if err == nil {
		err = j.end()
	}
	return err
}

// maxTag bounds one line of tags with values, in bytes.
const maxTag = 1 << 20

func (l *spdxList) tags() error {
	s := bufio.NewScanner(l.in.r)
	s.Buffer(make([]byte, 64<<10), maxTag)
	var p *spdxPackage
	inText := false
	for s.Scan() {
		l.in.budget.used = 0
		line := strings.TrimPrefix(s.Text(), "\ufeff")
		if inText { // a text may look like tags
			inText = !strings.Contains(line, "</text>")
			continue
		}
		tag, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		inText = strings.Contains(value, "<text>") && !strings.Contains(value, "</text>")
		switch tag {
		case "SPDXVersion":
			l.version(value)
		case "DocumentName":
			l.name(value)
		case "Creator":
			l.creator(value)
		case "Created":
			l.in.report.TakenAt = moment(value)
		case "PackageName":
			if err := l.ended(p); err != nil {
				return err
			}
			p = &spdxPackage{Name: value}
		case "PackageVersion":
			if p != nil {
				p.Version = value
			}
		case "PackageSourceInfo":
			if p != nil {
				p.SourceInfo = value
			}
		case "PrimaryPackagePurpose":
			if p != nil {
				p.Purpose = value
			}
		case "ExternalRef":
			if words := strings.Fields(value); p != nil && len(words) == 3 && len(p.References) < maxIDs {
				p.References = append(p.References, spdxReference{words[0], words[1], words[2]})
			}
		}
	}
	switch err := s.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fault.New(fault.Invalid, "spdx: a line is longer than %d bytes", maxTag)
	case err != nil:
		return err
	case inText:
		return io.ErrUnexpectedEOF
	}
	return l.ended(p)
}

func (l *spdxList) ended(p *spdxPackage) error {
	if p == nil {
		return nil
	}
	return l.pack(*p)
}
