package ubuntu

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/unpack"
)

// MaxOVAL bounds the definitions, in bytes, unpacked. Those of jammy had about 400 MB in 2024.
const MaxOVAL = 2 << 30

const (
	maxDepth   = 64      // of elements
	maxElement = 8 << 20 // bytes of one definition, test, state or variable
)

// definition holds the fields we use. Source of the format: the OVAL definitions schema 5.11 and Canonical's generator.
type definition struct {
	Title      string `xml:"metadata>title"`
	References []struct {
		Source string `xml:"source,attr"`
		ID     string `xml:"ref_id,attr"`
	} `xml:"metadata>reference"`
	CVEs []struct {
		ID       string `xml:",chardata"`
		Priority string `xml:"priority,attr"`
		Vector   string `xml:"cvss_vector,attr"`
		USNs     string `xml:"usns,attr"`
	} `xml:"metadata>advisory>cve"`
	Criteria criteria `xml:"criteria"`
}

type criteria struct {
	Criteria []criteria `xml:"criteria"`
	Each     []struct {
		Test    string `xml:"test_ref,attr"`
		Comment string `xml:"comment,attr"`
	} `xml:"criterion"`
}

// oval collects what definitions refer to; they stand before it in the file.
type oval struct {
	releases    []string
	release     string
	definitions []definition
	object      map[string]string   // by test
	state       map[string]string   // by test
	variable    map[string]string   // by object
	version     map[string]string   // by state: fixed in
	packages    map[string][]string // by variable: binary packages
	running     map[string]bool     // tests of the kernel that runs
	passedOver  map[string]int
}

// Reasons why a criterion states nothing.
const (
	ofRunning = "asks which kernel runs, and names no package"
	unnamed   = "names no package"
	unworded  = "has a comment in words that are not known"
	unknown   = "names no vulnerability" // the whole definition
)

// OVAL makes a parser of Canonical's OVAL definitions of one release, by vulnerability, package or notice; plain or
// compressed. Definitions by vulnerability and by package state of source packages, those by notice of binary ones. A notice
// about kernels compares the release of the kernel that runs: several source packages build kernels of one release number, so
// it states nothing of a package, and is counted.
func OVAL(releases ...string) intake.Parser {
	return func(r io.Reader) (intake.Reading, error) {
		plain, err := unpack.Plain(r, MaxOVAL)
		if err != nil {
			return intake.Reading{}, err
		}
		o := &oval{releases: releases, object: map[string]string{}, state: map[string]string{}, variable: map[string]string{}, version: map[string]string{}, packages: map[string][]string{},
			running: map[string]bool{}, passedOver: map[string]int{}}
		l := &leash{r: plain}
		if err := o.read(xml.NewDecoder(l), l); err != nil {
			if fault.KindOf(err) == fault.Internal {
				err = fault.New(fault.Invalid, "Ubuntu OVAL: the file is not OVAL's XML, or is truncated: %w", err)
			}
			return intake.Reading{}, err
		}
		if len(o.definitions) == 0 || o.release == "" {
			return intake.Reading{}, fault.New(fault.Invalid, "Ubuntu OVAL: the file holds no definition of a release of Ubuntu")
		}
		statements, err := o.statements()
		return intake.Reading{Statements: intake.Lead(statements), PassedOver: o.passedOver}, err
	}
}

var release = regexp.MustCompile(`^oval:com\.ubuntu\.([a-z]{3,20}):`)

// read goes through the document, element by element; no more than one definition is held as XML.
func (o *oval) read(d *xml.Decoder, l *leash) error {
	for depth := 0; ; {
		l.left = maxElement
		token, err := d.Token()
		if errors.Is(err, io.EOF) && depth == 0 && d.InputOffset() > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.Directive: // no DTD: OVAL has none, and entities are for bombs
			return fault.New(fault.Invalid, "Ubuntu OVAL: the document declares a type of its own")
		case xml.EndElement:
			depth--
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return fault.New(fault.Invalid, "Ubuntu OVAL: elements stand in each other more than %d deep", maxDepth)
			}
			if took, err := o.element(d, e); err != nil {
				return err
			} else if took {
				depth--
			}
		}
	}
}

// leash reads at most left bytes, so that one endless element does not fill the memory.
type leash struct {
	r    io.Reader
	left int
}

func (l *leash) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= n; l.left < 0 {
		return 0, fault.New(fault.Invalid, "Ubuntu OVAL: an element is larger than %d bytes", maxElement)
	}
	return n, err
}

// element takes a whole element where it is one we use.
func (o *oval) element(d *xml.Decoder, e xml.StartElement) (took bool, err error) {
	id := attribute(e, "id")
	switch e.Name.Local {
	case "definition":
		if m := release.FindStringSubmatch(id); m != nil {
			o.release = m[1]
		}
		var one definition
		if err = d.DecodeElement(&one, &e); err == nil {
			err = intake.Bounded(len(one.CVEs), 0)
		}
		o.definitions = append(o.definitions, one)
	case "uname_test", "variable_test":
		o.running[id] = true
		return false, nil
	case "textfilecontent54_test", "dpkginfo_test":
		var one struct {
			Object struct {
				Ref string `xml:"object_ref,attr"`
			} `xml:"object"`
			State struct {
				Ref string `xml:"state_ref,attr"`
			} `xml:"state"`
		}
		err = d.DecodeElement(&one, &e)
		o.object[id], o.state[id] = one.Object.Ref, one.State.Ref
	case "textfilecontent54_object", "dpkginfo_object":
		var one struct {
			Pattern struct {
				Ref string `xml:"var_ref,attr"`
			} `xml:"pattern"`
			Name struct {
				Ref string `xml:"var_ref,attr"`
			} `xml:"name"`
		}
		err = d.DecodeElement(&one, &e)
		o.variable[id] = cmp.Or(one.Pattern.Ref, one.Name.Ref)
	case "textfilecontent54_state", "dpkginfo_state":
		var one struct {
			Text string `xml:"subexpression"`
			EVR  string `xml:"evr"`
		}
		err = d.DecodeElement(&one, &e)
		o.version[id] = cmp.Or(one.Text, one.EVR)
	case "constant_variable":
		var one struct {
			Values []string `xml:"value"`
		}
		err = d.DecodeElement(&one, &e)
		o.packages[id] = binaries(one.Values)
		if err == nil {
			err = intake.Bounded(len(o.packages[id]), 0)
		}
	default:
		return false, nil
	}
	return true, err
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (o *oval) statements() (all []intake.Statement, err error) {
	if len(o.releases) > 0 && !slices.Contains(o.releases, o.release) {
		return nil, fault.New(fault.Invalid, "Ubuntu OVAL: the file is about %s, which is none of the releases kept", o.release)
	}
	for _, d := range o.definitions {
		notice := ""
		for _, r := range d.References {
			if r.Source == "USN" && name.MatchString(r.ID) {
				notice = r.ID
			}
		}
		tests := d.Criteria.all(0)
		if err := intake.Bounded(0, len(all)+len(d.CVEs)*len(tests)); err != nil {
			return nil, fmt.Errorf("read Ubuntu OVAL: %w", err)
		}
		if len(d.CVEs) > 0 {
			o.count(tests, notice != "")
		} else if notice != "" {
			o.passedOver[unknown]++
		}
		for _, c := range d.CVEs {
			if !name.MatchString(c.ID) {
				return nil, fault.New(fault.Invalid, "Ubuntu OVAL: %q is no name of a vulnerability", intake.Clip(c.ID, 200))
			}
			s := intake.Statement{Release: o.release, ID: c.ID, Advisory: notice, Urgency: intake.Clip(c.Priority, 200), Vector: intake.Clip(c.Vector, 200), Description: intake.Clip(d.Title, 200)}
			for _, test := range tests {
				if notice != "" {
					all = append(all, o.binaries(s, test[0])...)
				} else if one, ok := said(s, test[1]); ok {
					all = append(all, one)
				}
				if err := intake.Bounded(0, len(all)); err != nil {
					return nil, fmt.Errorf("read Ubuntu OVAL: %w", err)
				}
			}
		}
	}
	return all, nil
}

// count adds up the criteria that state nothing. Where comments speak, the kernel that runs is asked for beside one that does.
func (o *oval) count(tests [][2]string, notice bool) {
	for _, test := range tests {
		switch {
		case o.running[test[0]] && notice:
			o.passedOver[ofRunning]++
		case o.running[test[0]]:
		case notice && len(o.tested(test[0])) == 0:
			o.passedOver[unnamed]++
		case !notice && !comment.MatchString(test[1]):
			o.passedOver[unworded]++
		}
	}
}

// all gives the criteria, [test, comment], of a tree.
func (c criteria) all(depth int) (tests [][2]string) {
	for _, e := range c.Each {
		tests = append(tests, [2]string{e.Test, e.Comment})
	}
	for _, inner := range c.Criteria {
		if depth < maxDepth {
			tests = append(tests, inner.all(depth+1)...)
		}
	}
	return tests
}

// comment matches what the generator writes about a source package: "(CVE-…) NAME package in RELEASE WHAT (note: 'VERSION').".
var comment = regexp.MustCompile(`^(?:\((\S+)\) )?(?:While related to the CVE in some way, )?(?:the )?'?([a-z0-9][a-z0-9.+-]+)'? package in (\S+) (.*?)(?: \(note: '(.*)'\))?\.?$`)

// said reads the comment of a criterion. One by package names its CVE; it is about no other.
func said(s intake.Statement, text string) (intake.Statement, bool) {
	m := comment.FindStringSubmatch(text)
	if m == nil || m[1] != "" && m[1] != s.ID || !deb.ValidName(m[2]) {
		return s, false
	}
	s.Package = m[2]
	if pocket, _, pro := strings.Cut(m[3], "/"); pro { // esm-infra/focal
		s.Condition = intake.Clip(pocket, 200)
	}
	switch what := m[4]; {
	case strings.Contains(what, "has been fixed") && deb.ValidVersion(m[5]) == nil:
		s.Status, s.FixedVersion = intake.Fixed, m[5]
	case strings.Contains(what, "not affected"):
		s.Status = intake.NotAffected
	case strings.Contains(what, "defer"):
		s.Status, s.Expectation = intake.Open, "postponed"
	case strings.Contains(what, "ignore"):
		s.Status, s.Expectation = intake.Open, "ignored"
	case strings.Contains(what, "needs fixing"), strings.Contains(what, "pending"):
		s.Status = intake.Open
	default:
		s.Status, s.Note = intake.Undetermined, intake.Clip(what, 200)
	}
	return s, true
}

var pattern = regexp.MustCompile(`^\^?([a-z0-9][a-z0-9.+-]+)`)

// binaries gives the names of packages in the values of a variable.
func binaries(values []string) (names []string) {
	for _, value := range values {
		if m := pattern.FindStringSubmatch(strings.ReplaceAll(value, `\`, "")); m != nil && deb.ValidName(m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

// tested gives the packages that a test of a notice compares.
func (o *oval) tested(test string) []string { return o.packages[o.variable[o.object[test]]] }

// binaries gives what a test of a notice says of each.
func (o *oval) binaries(s intake.Statement, test string) (all []intake.Statement) {
	version := strings.TrimPrefix(o.version[o.state[test]], "0:")
	for _, name := range o.tested(test) {
		one := s
		one.Package, one.Binary, one.Status, one.FixedVersion = name, true, intake.Fixed, version
		if deb.ValidVersion(version) != nil {
			one.Status, one.FixedVersion, one.Note = intake.Undetermined, "", "the definition compares no version"
		}
		all = append(all, one)
	}
	return all
}
