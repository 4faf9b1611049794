package record

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// Field is one of Fields as text, by which it is imported, exported and compared. What is not in the table cannot be set
// from outside.
type Field struct {
	Name, Title string
	of          func(*Fields) *string // nil: addresses
	ok          func(string) bool
	rule        string // what ok demands
}

// Table is all fields in the order of columns.
var Table = []Field{
	{"hostname", "Hostname", func(f *Fields) *string { return &f.Hostname }, hostname, "a DNS name in lower case"},
	{"vendor", "Vendor", func(f *Fields) *string { return &f.Vendor }, line, aLine},
	{"model", "Model", func(f *Fields) *string { return &f.Model }, line, aLine},
	{"serial", "Serial number", func(f *Fields) *string { return &f.Serial }, line, aLine},
	{"maintenance", "Maintenance contact", func(f *Fields) *string { return &f.Maintenance }, line, aLine},
	{"rack", "Rack location", func(f *Fields) *string { return &f.Rack }, line, aLine},
	{"use", "Intended use", func(f *Fields) *string { return &f.Use }, line, aLine},
	{"addresses", "Addresses", nil, nil, "IP addresses with spaces between, at most 64"},
	{"zone", "Zone", func(f *Fields) *string { return &f.Zone }, name, aName},
	{"environment", "Environment", func(f *Fields) *string { return &f.Environment }, name, aName},
	{"ring", "Ring", func(f *Fields) *string { return &f.Ring }, name, aName},
	{"quorum_group", "Quorum group", func(f *Fields) *string { return &f.QuorumGroup }, name, aName},
	{"criticality", "Criticality", func(f *Fields) *string { return &f.Criticality }, oneOf(Criticalities), "one of " + strings.Join(Criticalities, ", ")},
	{"exposure", "Exposure", func(f *Fields) *string { return &f.Exposure }, oneOf(Exposures), "one of " + strings.Join(Exposures, ", ")},
	{"owner", "System owner", func(f *Fields) *string { return &f.Owner }, name, "a person's ID of the trust root"},
	{"unit", "Business unit", func(f *Fields) *string { return &f.Unit }, line, aLine},
	{"build", "Standard build", func(f *Fields) *string { return &f.Build }, name, aName},
	{"stage_twin", "Stage twin", func(f *Fields) *string { return &f.StageTwin }, hostname, "the hostname of a record"},
	{"notes", "Notes", func(f *Fields) *string { return &f.Notes }, text, "text of at most 4,000 bytes without control characters"},
}

// Bounds of fields, in bytes.
const (
	maxLine      = 200
	maxNotes     = 4000
	maxAddresses = 64

	aLine = "one line of at most 200 bytes without control characters"
	aName = "lower case letters, digits, dots, underscores and hyphens, at most 64"
)

var (
	hostForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
)

func hostname(s string) bool { return len(s) <= 253 && hostForm.MatchString(s) }
func name(s string) bool     { return nameForm.MatchString(s) }
func line(s string) bool {
	return len(s) <= maxLine && printable(s) && !strings.Contains(s, "\n") && strings.TrimSpace(s) == s
}
func text(s string) bool { return len(s) <= maxNotes && printable(s) }

func oneOf(all []string) func(string) bool {
	return func(s string) bool { return slices.Contains(all, s) }
}

// printable refuses what could hide or rearrange text for its readers.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r))
	})
}

// Text gives a field as text.
func (f Field) Text(of Fields) string {
	if f.of == nil {
		return strings.Join(of.Addresses, " ")
	}
	return *f.of(&of)
}

// set takes a field from text, normalised; a problem is told without the text.
func (f Field) set(of *Fields, text string) error {
	if f.of == nil {
		addresses, ok := addressesOf(text)
		if !ok {
			return fmt.Errorf("want %s", f.rule)
		}
		of.Addresses = addresses
		return nil
	}
	if text = strings.ReplaceAll(text, "\r\n", "\n"); text != "" && !f.ok(text) || text == "" && f.Name == "hostname" {
		return fmt.Errorf("want %s", f.rule)
	}
	*f.of(of) = text
	return nil
}

func addressesOf(text string) ([]string, bool) {
	var all []string
	for _, word := range strings.Fields(text) {
		a, err := netip.ParseAddr(word)
		if err != nil || a.Zone() != "" || len(all) == maxAddresses {
			return nil, false
		}
		all = append(all, a.Unmap().String())
	}
	slices.Sort(all)
	return slices.Compact(all), true
}

// FieldsOf reads fields from texts by name. Invalid names the field that is wrong.
func FieldsOf(texts map[string]string) (f Fields, err error) {
	for _, field := range Table {
		if err := field.set(&f, texts[field.Name]); err != nil {
			return f, fault.New(fault.Invalid, "%s: %w", field.Name, err)
		}
	}
	return f, nil
}

func fieldNamed(name string) (Field, bool) {
	i := slices.IndexFunc(Table, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return Field{}, false
	}
	return Table[i], true
}

// Choices gives the values a field is one of, nil where it is free.
func (f Field) Choices() []string {
	switch f.Name {
	case "criticality":
		return Criticalities
	case "exposure":
		return Exposures
	}
	return nil
}

// normal checks fields and gives them as they are kept.
func normal(f Fields) (Fields, error) {
	texts := make(map[string]string, len(Table))
	for _, field := range Table {
		texts[field.Name] = field.Text(f)
	}
	return FieldsOf(texts)
}

// checked is normal, with an owner that the trust root knows where it was not the owner before.
func (r *Records) checked(ctx context.Context, f, before Fields) (Fields, error) {
	f, err := normal(f)
	if err != nil || f.Owner == "" || f.Owner == before.Owner {
		return f, err
	}
	root, err := r.Root.CurrentRoot(ctx)
	if err != nil {
		return f, err
	}
	return f, owns(root, f.Owner)
}

func owns(root *trustroot.Root, owner string) error {
	if _, ok := root.Person(owner); !ok {
		return fault.New(fault.Invalid, "owner: the trust root has no such person")
	}
	return nil
}

type difference struct {
	fields        []string
	before, after map[string]string
}

// diff gives the fields that differ, as text.
func diff(before, after Fields) difference {
	d := difference{before: map[string]string{}, after: map[string]string{}}
	for _, f := range Table {
		if a, b := f.Text(before), f.Text(after); a != b {
			d.fields = append(d.fields, f.Name)
			d.before[f.Name], d.after[f.Name] = a, b
		}
	}
	return d
}
