package verdict

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
)

type bookKey struct{ release, source string }

// book is what is stated about one source package of one release, and about the binary packages that hosts have of it.
type book struct {
	bookKey
	binaries   []string           // names that holdings list, in order of appearance
	statements []intake.Statement // sorted by ID; then about the source before binaries, and by precedence of the sources
	merged     bool               // statements is an array of the book's own
	digests    []string           // of the statements, each made when first asked for
	chapters   []*chapter
}

// lens is how a holding reads a book: what makes other statements lead, or lets them lead to other verdicts.
type lens struct {
	rpm       bool
	epochless bool   // rpm: nothing tells the epoch of the source package, so versions are compared without
	module    string // rpm: name:stream
	foreign   string // who made the packages, when it is not the distribution
	doubt     string // a package among them, or versions, that a fixed version or "never affected" says nothing about
	binaries  string // a line for each installed: its name, then its version where that is not the holding's, or elsewhere
}

// chapter is a book read through a lens.
type chapter struct {
	lens
	leads   []lead // of each vulnerability that is stated, sorted by ID
	rules   []rule // sorted by key
	unknown []int  // undetermined whatever the version: indexes of statements
	pairs   []int
}

// lead is what gives the verdict about a vulnerability: indexes of statements.
type lead struct {
	statement int
	beside    int // of a binary package, and undetermined whatever the version: it decides where the first finds nothing; -1: none
}

// rule says that versions with a key below this one are affected.
type rule struct {
	key []byte
	lead
}

// All keys begin with the length of the epoch, at most 9: noFix is above every key, incomparable above all but noFix, and
// never below every key.
var noFix, incomparable, never = []byte{0xff}, []byte{0xfe}, []byte{}

// chapter gives the chapter of a lens, made when first asked for.
func (b *book) chapter(l lens) *chapter {
	for _, c := range b.chapters {
		if c.lens == l {
			return c
		}
	}
	c := &chapter{lens: l}
	c.read(b)
	b.chapters = append(b.chapters, c)
	return c
}

func (b *book) learn(statements []intake.Statement, merged bool) {
	b.statements, b.merged, b.digests = statements, merged, make([]string, len(statements))
	for _, c := range b.chapters {
		c.read(b)
	}
}

// digest is that of a statement.
func (b *book) digest(i int) string {
	if b.digests[i] == "" {
		b.digests[i] = b.statements[i].Digest()
	}
	return b.digests[i]
}

// of gives what is stated about a vulnerability, and the index of the first.
func (b *book) of(vulnerability string) ([]intake.Statement, int) {
	byID := func(s intake.Statement, id string) int { return cmp.Compare(s.ID, id) }
	i, _ := slices.BinarySearchFunc(b.statements, vulnerability, byID)
	n := i
	for n < len(b.statements) && b.statements[n].ID == vulnerability {
		n++
	}
	return b.statements[i:n], i
}

func (c *chapter) read(b *book) {
	c.leads, c.rules, c.unknown = nil, nil, nil
	for i := 0; i < len(b.statements); {
		n := i + 1
		for n < len(b.statements) && b.statements[n].ID == b.statements[i].ID {
			n++
		}
		if l, found := c.judging(b.statements[i:n], i); found {
			c.leads = append(c.leads, l)
			c.add(b.statements[l.statement], l)
		}
		i = n
	}
	slices.SortStableFunc(c.rules, func(x, y rule) int { return bytes.Compare(x.key, y.key) })
}

// add makes the rule of a statement that leads.
func (c *chapter) add(s intake.Statement, l lead) {
	key, weight := noFix, undeterminedAll
	if c.foreign == "" {
		weight = c.weight(s)
	}
	switch weight {
	case undeterminedAll:
		c.unknown = append(c.unknown, l.statement)
		return
	case affectedNone:
		if c.doubt == "" {
			return
		}
		key = never
	case affectedBelow:
		if fixed, err := c.key(s.FixedVersion); err == nil { // parsers give valid versions only; without one nothing is fixed
			key = fixed
		}
	}
	c.rules = append(c.rules, rule{key, l})
}

// key gives the bytes that order versions.
func (l lens) key(version string) ([]byte, error) {
	if l.rpm {
		return rpm.Key(l.fixed(version))
	}
	return deb.Key(version)
}

// fixed gives a fixed version as holdings are compared with it.
func (l lens) fixed(version string) string {
	if _, after, found := strings.Cut(version, ":"); found && l.epochless {
		return after
	}
	return version
}

// version gives the installed version that a statement is held against where it is not the holding's.
func (l lens) version(s intake.Statement) (version string, apart bool) {
	if !s.Binary {
		return "", false
	}
	line, _ := l.line(s.Package)
	_, version, apart = strings.Cut(line, " ")
	return version, apart
}

func (l lens) line(binary string) (string, bool) {
	for line := range strings.Lines(l.binaries) {
		line = strings.TrimSuffix(line, "\n")
		if rest, found := strings.CutPrefix(line, binary); found && (rest == "" || rest[0] == ' ') {
			return line, true
		}
	}
	return "", false
}

// lead finds what gives the verdict among all statements about one vulnerability, of which the first has the index base. Those
// about the source package go before those about binaries of it; of several binaries the worst goes first, and one about which
// nothing is determined stays beside it: that another has the fix does not settle it.
func (l lens) lead(all []intake.Statement, base int) (lead, bool) {
	worst, open := -1, -1
	for i := 0; i < len(all); {
		n := i + 1
		for n < len(all) && all[n].Binary == all[i].Binary && all[n].Package == all[i].Package {
			n++
		}
		if at, ok := l.first(all[i:n]); ok {
			at += i
			if !all[i].Binary {
				return lead{base + at, -1}, true
			}
			if worst < 0 || l.worse(all[at], all[worst]) {
				worst = at
			}
			if open < 0 && l.weight(all[at]) == undeterminedAll {
				open = at
			}
		}
		i = n
	}
	if worst < 0 || open < 0 || l.weight(all[worst]) != affectedBelow {
		return lead{base + worst, -1}, worst >= 0
	}
	return lead{base + worst, base + open}, true
}

func (l lens) worse(a, b intake.Statement) bool {
	x, y := l.weight(a), l.weight(b)
	if x == affectedBelow && y == affectedBelow {
		return l.compare(a.FixedVersion, b.FixedVersion) > 0
	}
	return x > y
}

// What a statement says of the holdings of a chapter, in the order of how bad it is.
const (
	affectedNone    = iota
	undeterminedAll // whatever their version
	affectedBelow   // the fixed version
	affectedAll     // whatever their version
)

// weight says which; a binary package whose version differs from the holdings' has the same in all of them.
func (l lens) weight(s intake.Statement) int {
	version, apart := l.version(s)
	switch {
	case s.Status == intake.Undetermined, version == elsewhere, s.Status == intake.Fixed && l.rpm != (s.Scheme == intake.RPM):
		return undeterminedAll
	case s.Status == intake.Open:
		return affectedAll
	case s.Status == intake.Fixed && !apart:
		return affectedBelow
	case s.Status == intake.Fixed:
		return map[Status]int{Affected: affectedAll, Undetermined: undeterminedAll}[judgeFixed(version, s.FixedVersion, s).Status]
	}
	return affectedNone
}

// first gives the statement that decides among those about one package: the first that applies. Where that one knows no fix,
// a fix that the same source has under a condition goes before it.
func (l lens) first(all []intake.Statement) (int, bool) {
	first := -1
	for i := range all {
		s := &all[i]
		if !l.applies(s, all) {
			continue
		}
		if first < 0 {
			first = i
		}
		f := &all[first]
		if f.Status != intake.Open || f.Condition != "" {
			break
		}
		if s.Condition != "" && s.Status == intake.Fixed && s.Source == f.Source {
			return i, true
		}
	}
	return max(first, 0), first >= 0
}

// applies says whether a statement is about what the lens belongs to: a binary that is installed, the module that it is of. A
// statement about no module holds for a package of one only where the source tells no modules apart.
func (l lens) applies(s *intake.Statement, all []intake.Statement) bool {
	if s.Binary {
		if _, installed := l.line(s.Package); !installed {
			return false
		}
	}
	if s.Module != "" || l.module == "" {
		return s.Module == l.module
	}
	return !slices.ContainsFunc(all, func(o intake.Statement) bool { return o.Source == s.Source && o.Module != "" })
}

// above gives the position of the first rule that affects a version with this key.
func (c *chapter) above(key []byte) int {
	return sort.Search(len(c.rules), func(i int) bool { return bytes.Compare(c.rules[i].key, key) > 0 })
}

// find gives what leads about a vulnerability.
func (c *chapter) find(b *book, vulnerability string) (lead, bool) {
	i, found := slices.BinarySearchFunc(c.leads, vulnerability, func(l lead, id string) int { return cmp.Compare(b.statements[l.statement].ID, id) })
	if !found {
		return lead{}, false
	}
	return c.leads[i], true
}
