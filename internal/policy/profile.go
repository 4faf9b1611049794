package policy

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Profiles are data: a limit is read, never programmed.
//
//go:embed profiles/*.json
var shipped embed.FS

var profiles = sync.OnceValue(func() (all []Policy) {
	names, err := fs.Glob(shipped, "profiles/*.json")
	if err != nil {
		panic("policy: " + err.Error())
	}
	for _, name := range names {
		b, err := shipped.ReadFile(name)
		if err == nil {
			var p Policy
			if p, err = Read(b); err == nil && p.Name+".json" != path.Base(name) {
				err = fmt.Errorf("its name is %s", p.Name)
			}
			all = append(all, p)
		}
		if err != nil {
			panic("policy: " + name + ": " + err.Error())
		}
	}
	return all
})

// Profiles gives the policies shipped, by name. They are suggestions: none is in force before people sign it.
func Profiles() []Policy { return slices.Clone(profiles()) }

// Profile gives a shipped policy, or NotFound.
func Profile(name string) (Policy, error) {
	for _, p := range profiles() {
		if p.Name == name {
			return p, nil
		}
	}
	return Policy{}, fault.New(fault.NotFound, "no profile is named %.80q", name)
}

// MaxSize bounds a policy as people write it, in bytes.
const MaxSize = 256 << 10

// Read reads a policy as people write it: JSON with the fields of Policy, none of them unknown. What signing adds must not
// be there.
func Read(b []byte) (Policy, error) {
	if len(b) > MaxSize {
		return Policy{}, fault.New(fault.Invalid, "policy: it is larger than %d bytes", MaxSize)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var p Policy
	if err := d.Decode(&p); err != nil {
		return Policy{}, fault.New(fault.Invalid, "policy: it is not the JSON expected here: %s%s", place(b, err), err)
	}
	if d.More() {
		return Policy{}, fault.New(fault.Invalid, "policy: there are bytes after its end")
	}
	if p.Person != "" || p.TrustRoot.Version != 0 || !p.MadeAt.IsZero() || p.Version != 0 {
		return Policy{}, fault.New(fault.Invalid, "policy: version, person, trust_root and made_at are filled in when it is proposed")
	}
	_, err := Compile(p)
	return p, err
}

// place tells where in the text a problem of JSON is; nothing where that is not known.
func place(b []byte, err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var at int64
	switch {
	case errors.As(err, &syntax):
		at = syntax.Offset
	case errors.As(err, &kind):
		at = kind.Offset
	default:
		return ""
	}
	before := b[:min(max(at-1, 0), int64(len(b)))]
	return fmt.Sprintf("line %d, column %d: ", bytes.Count(before, []byte("\n"))+1, len(before)-bytes.LastIndexByte(before, '\n'))
}

// Statement writes the limits as text for section 6.7 of a CP or CPS. Source: NCSSR 2.0.5, 4.3: each limit is published there.
func (p Policy) Statement(organisation string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "6.7 Network security controls: time limits for vulnerabilities\n\n")
	fmt.Fprintf(&b, "%s keeps the following limits for every vulnerability identified on its systems (policy %s", organisation, p.Name)
	if p.Version > 0 {
		fmt.Fprintf(&b, ", version %d of %s", p.Version, p.MadeAt.UTC().Format("2006-01-02"))
	}
	fmt.Fprintf(&b, "). Where several apply, the one that ends first holds. They rest on: %s\n", strings.TrimSpace(p.Basis))
	for _, clock := range Clocks {
		fmt.Fprintf(&b, "\n%s\n", clockTitle[clock])
		for _, r := range p.Rules {
			if r.Clock != clock {
				continue
			}
			fmt.Fprintf(&b, "- %s: within %s of %s", r.Name, Span(r.Hours), eventWords[r.From])
			if r.PlanStops {
				b.WriteString(", or within the same time a documented plan or reason")
			}
			fmt.Fprintf(&b, " (%s). It applies where: %s\n", r.Clause, r.When)
		}
	}
	return b.String()
}

var clockTitle = map[Clock]string{
	Review:      "Review of the advisory by a person",
	Assessment:  "Assessment of the impact",
	Response:    "Decision on the response",
	Remediation: "Remediation, observed on every host affected",
}

var eventWords = map[Event]string{
	Published: "its publication", Identified: "its identification", Detected: "its first detection on a host",
	FixReleased: "the release of the fix", Exploited: "its listing as exploited",
}

// Span writes hours as people say them: in days where they are whole and more than four.
func Span(hours int) string {
	if hours > 96 && hours%24 == 0 {
		return fmt.Sprintf("%d days", hours/24)
	}
	return fmt.Sprintf("%d hours", hours)
}
