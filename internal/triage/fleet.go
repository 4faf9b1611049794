package triage

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"sort"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
)

// Fleet matches the package sets of many hosts with what sources state. It keeps no finding: a rule book per source
// package, sorted by the fixed version's key; each distinct holding once, with the number of hosts that have it; each
// distinct set once. All questions are answered from those. It is not safe for concurrent use.
type Fleet struct {
	books    map[bookKey]*book
	of       map[string][]*book // by source package
	releases map[string]bool    // releases that statements speak about
	ids      map[holding]int
	pairs    []pair
	classes  map[Class]*class
	hosts    map[string]*class
	order    []string // of the hosts, sorted; nil: to be made again
	changes  int      // how often what is counted changed
}

type bookKey struct{ release, source string }

// book is what is stated about one source package of one release.
type book struct {
	digests    []string           // of the statements, each made when first asked for
	statements []intake.Statement // sorted by ID, then by precedence of the sources
	rules      []rule             // fixed and open, sorted by key
	unknown    []int              // undetermined: indexes of statements
	pairs      []int
}

// rule says that versions with a key below this one are affected.
type rule struct {
	key       []byte
	statement int
}

// All keys begin with the length of the epoch, at most 9: noFix is above every key, incomparable above all but noFix.
var noFix, incomparable = []byte{0xff}, []byte{0xfe}

// pair is a holding with the hosts that have it.
type pair struct {
	holding
	key, runningKey []byte
	vague           bool // not being older than the fix does not make it fixed
	hosts           int
}

// Class is what makes hosts equal for matching.
type Class struct {
	Release, Environment, SetDigest string
	Kernel                          Kernel
}

type class struct {
	Class
	pairs []int // sorted
	hosts map[string]bool
}

// NewFleet makes a fleet without hosts and statements.
func NewFleet() *Fleet {
	return &Fleet{books: map[bookKey]*book{}, of: map[string][]*book{}, releases: map[string]bool{}, ids: map[holding]int{},
		classes: map[Class]*class{}, hosts: map[string]*class{}}
}

// Learn takes all current statements, sorted by intake.Compare and, within that, by precedence: of several about the same
// vulnerability the first gives the verdict. Only the rule books whose statements changed are made again; Learn gives
// their number.
func (f *Fleet) Learn(statements []intake.Statement) int {
	changed := 0
	clear(f.releases)
	known := make(map[bookKey]bool, len(f.books))
	for len(statements) > 0 {
		key := bookKey{statements[0].Release, statements[0].Package}
		n := 1
		for n < len(statements) && statements[n].Release == key.release && statements[n].Package == key.source {
			n++
		}
		b := f.book(key)
		if !slices.Equal(b.statements, statements[:n]) {
			b.learn(statements[:n])
			changed++
		}
		b.statements = statements[:n] // equal or not: let go of the old array
		known[key], f.releases[key.release] = true, true
		statements = statements[n:]
	}
	for key, b := range f.books {
		if !known[key] && len(b.statements) > 0 {
			b.learn(nil)
			changed++
		}
	}
	f.changes += changed
	return changed
}

func (f *Fleet) book(key bookKey) *book {
	b := f.books[key]
	if b == nil {
		b = &book{}
		f.books[key], f.of[key.source] = b, append(f.of[key.source], b)
	}
	return b
}

func (b *book) learn(statements []intake.Statement) {
	b.statements, b.rules, b.unknown, b.digests = statements, nil, nil, make([]string, len(statements))
	for i, s := range statements {
		if i > 0 && statements[i-1].ID == s.ID {
			continue
		}
		switch s.Status {
		case intake.Open:
			b.rules = append(b.rules, rule{noFix, i})
		case intake.Fixed:
			key, err := deb.Key(s.FixedVersion)
			if err != nil {
				key = noFix // parsers give valid versions only; without one nothing is fixed
			}
			b.rules = append(b.rules, rule{key, i})
		case intake.Undetermined:
			b.unknown = append(b.unknown, i)
		}
	}
	slices.SortStableFunc(b.rules, func(x, y rule) int { return bytes.Compare(x.key, y.key) })
}

// above gives the position of the first rule that affects a version with this key.
func (b *book) above(key []byte) int {
	return sort.Search(len(b.rules), func(i int) bool { return bytes.Compare(b.rules[i].key, key) > 0 })
}

// Place says which class a host is in; set is asked only for a class not seen before. A host is in one class.
func (f *Fleet) Place(host string, c Class, set func() (pkgset.Set, error)) error {
	old := f.hosts[host]
	if old != nil && old.Class == c {
		return nil
	}
	k := f.classes[c]
	if k == nil {
		packages, err := set()
		if err != nil {
			return err
		}
		k = &class{Class: c, hosts: map[string]bool{}}
		for _, h := range holdings(c.Release, packages, c.Kernel) {
			k.pairs = append(k.pairs, f.pair(h))
		}
		slices.Sort(k.pairs)
		f.classes[c] = k
	}
	if old == nil {
		f.order = nil
	}
	f.leave(host, old)
	k.hosts[host], f.hosts[host] = true, k
	for _, p := range k.pairs {
		f.pairs[p].hosts++
	}
	f.changes++
	return nil
}

// Remove takes a host out.
func (f *Fleet) Remove(host string) {
	if k := f.hosts[host]; k != nil {
		f.leave(host, k)
		f.order = nil
		f.changes++
	}
}

func (f *Fleet) leave(host string, k *class) {
	if k == nil {
		return
	}
	for _, p := range k.pairs {
		f.pairs[p].hosts--
	}
	delete(f.hosts, host)
	if delete(k.hosts, host); len(k.hosts) == 0 {
		delete(f.classes, k.Class)
	}
}

func (f *Fleet) pair(h holding) int {
	if id, ok := f.ids[h]; ok {
		return id
	}
	id := len(f.pairs)
	p := pair{holding: h, vague: Backport(h.version)}
	var err error
	if p.key, err = deb.Key(h.version); err != nil {
		p.key, p.vague = incomparable, true
	}
	if p.runningKey, err = deb.Key(h.running); err != nil {
		p.runningKey = nil // none runs that matters
	}
	f.ids[h], f.pairs = id, append(f.pairs, p)
	b := f.book(bookKey{h.release, h.source})
	b.pairs = append(b.pairs, id)
	return id
}

// Count is one vulnerability in one source package of one release, with the number of hosts by verdict.
type Count struct {
	Statement                           intake.Statement
	Affected, AfterReboot, Undetermined int

	book  *book
	index int
}

// Digest is the statement's.
func (c Count) Digest() string {
	if c.book.digests[c.index] == "" {
		c.book.digests[c.index] = c.Statement.Digest()
	}
	return c.book.digests[c.index]
}

// Tally counts hosts for every vulnerability that is not settled as not affected everywhere, sorted by release, source and ID.
func (f *Fleet) Tally() []Count {
	keys := slices.SortedFunc(maps.Keys(f.books), func(a, b bookKey) int {
		return cmp.Or(cmp.Compare(a.release, b.release), cmp.Compare(a.source, b.source))
	})
	var all []Count
	for _, key := range keys {
		all = f.tallyBook(f.books[key], all)
	}
	return all
}

// tallyBook counts by differences: a holding affects a suffix of the rules, so it is added where the suffix begins and the
// sums are made in one pass.
func (f *Fleet) tallyBook(b *book, all []Count) []Count {
	n := len(b.rules)
	affected, reboot, undetermined := make([]int, n+1), make([]int, n+1), make([]int, n+1)
	hosts := 0
	for _, id := range b.pairs {
		p := &f.pairs[id]
		if p.hosts == 0 {
			continue
		}
		hosts += p.hosts
		from := b.above(p.key)
		if p.artefacts {
			undetermined[from] += p.hosts
		} else {
			affected[from] += p.hosts
		}
		switch {
		case p.vague: // all below the suffix
			undetermined[0] += p.hosts
			undetermined[from] -= p.hosts
		case p.runningKey != nil:
			reboot[b.above(p.runningKey)] += p.hosts
			reboot[from] -= p.hosts
		}
	}
	if hosts == 0 {
		return all
	}
	first := len(all)
	c := Count{book: b}
	for i, r := range b.rules {
		c.Affected += affected[i]
		c.AfterReboot += reboot[i]
		c.Undetermined += undetermined[i]
		if c.Affected+c.AfterReboot+c.Undetermined > 0 {
			c.Statement, c.index = b.statements[r.statement], r.statement
			all = append(all, c)
		}
	}
	for _, i := range b.unknown {
		all = append(all, Count{Statement: b.statements[i], Undetermined: hosts, book: b, index: i})
	}
	slices.SortFunc(all[first:], func(x, y Count) int { return cmp.Compare(x.Statement.ID, y.Statement.ID) })
	return all
}
