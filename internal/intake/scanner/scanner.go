// Package scanner reads the reports of vulnerability scanners, and component lists (SBOM) with their vulnerabilities: one
// parser per format, all of them streaming, none of them trusted.
package scanner

import (
	"bufio"
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Claim is what a report says about a vulnerability on a host.
type Claim string

const (
	Affected     Claim = "affected"
	NotAffected  Claim = "not-affected"
	Fixed        Claim = "fixed"        // no longer there, says the report; only an observed package set closes anything
	Undetermined Claim = "undetermined" // under investigation
)

// Package is an installed package as the report writes it.
type Package struct {
	Name    string
	Version string
	Source  string // source package, where the report names one
	Fixed   string // the version that the report asks for; empty: it knows none
}

// Row is one record of a report. Texts are bounded and valid UTF-8, and still a stranger's.
type Row struct {
	Host       string   // as the scanner names it, see Host
	CVEs       []string // sorted
	Advisories []string // DSA-…, RHSA-…, GHSA-…, sorted
	Packages   []Package
	Plugin     string // the scanner's own name of the check, such as "nessus-208243"
	Title      string
	Severity   string // the scanner's word, in lower case
	Vector     string // CVSS
	Claim      Claim
	Banner     bool // concluded from what a service says of itself, not from what is installed
}

// IDs names the vulnerabilities of a row: its CVEs, else its advisories, else the check itself.
func (r Row) IDs() []string {
	switch {
	case len(r.CVEs) > 0:
		return r.CVEs
	case len(r.Advisories) > 0:
		return r.Advisories
	}
	return []string{r.Plugin}
}

// Host is a machine as the scanner names it.
type Host struct {
	Name         string
	Names        []string // host names and FQDNs, in lower case
	Addresses    []string // IP
	MACs         []string // in lower case
	CPE          string
	Credentialed bool // the scanner had a login there, or read the host's package list
	TakenAt      time.Time
}

// Sink takes what a parser reads. Host may come before or after the host's rows, and more than once.
type Sink interface {
	Host(Host) error
	Row(Row) error
}

// Report is what a report says of itself and how much of it was understood: Read = Accepted + the sum of Refused.
type Report struct {
	Format   string
	Scanner  string // the program, such as "nessus" or "trivy"
	Version  string // of the program; empty: not said
	TakenAt  time.Time
	Read     int            // records
	Accepted int            // of those
	Refused  map[string]int // by reason
}

// Bounds of a report. The largest file seen has 31 MB for one unpatched host.
const (
	MaxBytes = 512 << 20
	maxItem  = 8 << 20 // bytes of one record
	maxDepth = 64
	maxText  = 500
	maxName  = 255
	maxIDs   = 5000 // of one record
)

// Reasons for setting a record aside.
const (
	informational = "informational: names no vulnerability"
	noHost        = "names no host"
	noID          = "names no vulnerability"
	badRecord     = "is not a record of this format"
	disabled      = "the scanner's operator has disabled it"
)

// parser reads one format. host names the machine where the format does not.
type parser func(in *input, host string) error

// formats by name; the name is also the scanner's where the report does not say.
var formats = map[string]parser{
	"nessus": nessus, "openvas": openvas, "trivy": trivy, "grype": grype, "cyclonedx": cycloneDX, "qualys": qualys, "wazuh": wazuh,
	"clair": clair, "spdx": spdx, PenTestFormat: penTest,
}

// Formats gives the names of all formats, sorted.
func Formats() []string {
	names := make([]string, 0, len(formats))
	for name := range formats {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Read reads a report into sink. format is one of Formats, or empty to tell by the content. host names the machine in
// reports that name none, such as a scan of a file system. What is no such report, or is damaged, is fault.Invalid; what
// the sink was given until then is to be forgotten.
func Read(r io.Reader, format, host string, sink Sink) (Report, error) {
	in := newInput(r, sink)
	if format == "" {
		var err error
		if format, err = Detect(in.r); err != nil {
			return Report{}, err
		}
	}
	parse := formats[format]
	if parse == nil {
		return Report{}, fault.New(fault.Invalid, "no report format is named %.40q; known are %s", format, strings.Join(Formats(), ", "))
	}
	in.report.Format, in.report.Scanner = format, format
	if err := parse(in, clean(host, maxName)); err != nil {
		if fault.KindOf(err) == fault.Internal && !in.sank {
			err = fault.New(fault.Invalid, "%s: damaged or truncated after %d records: %w", format, in.report.Read, err)
		}
		return Report{}, err
	}
	in.report.Scanner, in.report.Version = clean(strings.ToLower(in.report.Scanner), 64), clean(in.report.Version, 64)
	return in.report, nil
}

// input is a report on its way in.
type input struct {
	r      *bufio.Reader
	budget *budget
	sink   Sink
	sank   bool // the sink failed, not the report
	report Report

	component func(bomComponent) error // takes the entries of a component list; nil: nobody asks for them
}

func newInput(r io.Reader, sink Sink) *input {
	b := &budget{r: r}
	return &input{r: bufio.NewReaderSize(b, Head), budget: b, sink: sink, report: Report{Refused: map[string]int{}}}
}

// budget refuses a record that is larger than any honest one, before it is in memory.
type budget struct {
	r    io.Reader
	used int
}

func (b *budget) Read(p []byte) (int, error) {
	if b.used > maxItem {
		return 0, fault.New(fault.Invalid, "one record is larger than %d bytes", maxItem)
	}
	n, err := b.r.Read(p)
	b.used += n
	return n, err
}

// begins reports whether the report's text begins with a mark; nothing of it is read.
func (in *input) begins(mark string) bool {
	head, _ := in.r.Peek(Head) // a short report is whole in head
	return bytes.HasPrefix(bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))), []byte(mark))
}

func (in *input) host(h Host) error {
	if h.Name = clean(h.Name, maxName); h.Name == "" {
		return nil
	}
	for _, list := range []*[]string{&h.Names, &h.Addresses, &h.MACs} {
		*list = cleaned(*list)
	}
	h.CPE = clean(h.CPE, maxName)
	err := in.sink.Host(h)
	in.sank = in.sank || err != nil
	return err
}

// refuse counts a record that is set aside.
func (in *input) refuse(why string) {
	in.report.Read++
	in.report.Refused[why]++
	in.budget.used = 0
}

// row counts a record and passes it on, bounded.
func (in *input) row(r Row) error {
	r.Host, r.Plugin, r.Title = clean(r.Host, maxName), clean(r.Plugin, 100), clean(r.Title, maxText)
	r.Severity, r.Vector = clean(strings.ToLower(r.Severity), 32), clean(r.Vector, 200)
	r.CVEs, r.Advisories = sortIDs(r.CVEs, r.Advisories)
	r.Packages = slices.DeleteFunc(r.Packages, func(p Package) bool { return p.Name == "" })
	for i, p := range r.Packages {
		r.Packages[i] = Package{clean(p.Name, maxName), clean(p.Version, maxName), clean(p.Source, maxName), clean(p.Fixed, maxName)}
	}
	switch {
	case r.Host == "":
		in.refuse(noHost)
		return nil
	case len(r.CVEs)+len(r.Advisories) == 0 && r.Plugin == "":
		in.refuse(noID)
		return nil
	case len(r.CVEs)+len(r.Advisories) > maxIDs || len(r.Packages) > maxIDs:
		return fault.New(fault.Invalid, "one record names more than %d vulnerabilities or packages", maxIDs)
	}
	in.report.Read++
	in.report.Accepted++
	in.budget.used = 0
	err := in.sink.Row(r)
	in.sank = in.sank || err != nil
	return err
}

var (
	cveForm      = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,19}$`)
	advisoryForm = regexp.MustCompile(`^[A-Z][A-Za-z]{1,15}-?[A-Za-z]{0,3}-[0-9A-Za-z][0-9A-Za-z:._-]{0,60}$`)
)

// sortIDs tells CVEs from advisories; what is neither is left out.
func sortIDs(lists ...[]string) (cves, advisories []string) {
	for _, id := range slices.Concat(lists...) {
		id = strings.TrimSpace(id)
		switch {
		case cveForm.MatchString(strings.ToUpper(id)):
			cves = append(cves, strings.ToUpper(id))
		case advisoryForm.MatchString(id):
			advisories = append(advisories, id)
		}
	}
	slices.Sort(cves)
	slices.Sort(advisories)
	return slices.Compact(cves), slices.Compact(advisories)
}

// clean makes a report's text one bounded line of valid UTF-8 without control characters.
func clean(s string, most int) string {
	if len(s) > 4*most {
		s = s[:4*most]
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfffd || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most-len("…")], "") + "…"
	}
	return s
}

func cleaned(list []string) []string {
	all := make([]string, 0, min(len(list), 64))
	for _, s := range list {
		if s = clean(strings.ToLower(s), maxName); s != "" && len(all) < 64 && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}
