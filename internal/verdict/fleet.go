package verdict

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
)

// Fleet matches the package sets of many hosts with what sources state. It keeps no finding: a rule book per source
// package, sorted by the fixed version's key; each distinct holding once, with the number of hosts that have it; each
// distinct set once. All questions are answered from those. It is not safe for concurrent use.
type Fleet struct {
	stated   map[bookKey][]intake.Statement // by the package that they name
	books    map[bookKey]*book
	of       map[string][]*book   // by source package
	makers   map[bookKey][]*book  // by binary package
	releases map[string]bool      // releases that statements speak about
	detailed map[string]bool      // releases of which statements speak about binary packages
	ended    map[string]time.Time // releases whose support ended, with the end
	limits   []intake.Support     // of packages that have no support, or little
	ids      map[holding]int
	pairs    []pair
	classes  map[Class]*class
	hosts    map[string]*class
	order    []string // of the hosts, sorted; nil: to be made again
	changes  int      // how often what is counted changed
}

// pair is a holding with the hosts that have it.
type pair struct {
	holding
	key, runningKey []byte
	vague           bool // not being older than the fix does not make it fixed
	hosts           int
	book            *book
	chapter         *chapter
}

// Class is what makes hosts equal for matching.
type Class struct {
	Release, Environment, SetDigest string
	Kernel                          Kernel
	Foreign                         string // a line for each package of dpkg that others than the distribution made: name:architecture, a tab, who; sorted
}

type class struct {
	Class
	detailed bool  // its holdings list their binary packages
	pairs    []int // sorted
	hosts    map[string]bool
}

// Had is what a place had when it was taken out: the same for all places of one class.
type Had struct{ class *class }

// NewFleet makes a fleet without hosts and statements.
func NewFleet() *Fleet {
	return &Fleet{stated: map[bookKey][]intake.Statement{}, books: map[bookKey]*book{}, of: map[string][]*book{}, makers: map[bookKey][]*book{},
		releases: map[string]bool{}, detailed: map[string]bool{}, ids: map[holding]int{}, classes: map[Class]*class{}, hosts: map[string]*class{}}
}

// Learn takes all current statements, sorted by intake.Compare and, within that, by precedence (intake.Lead within a source):
// of several about the same vulnerability the first that applies gives the verdict. Only the rule books whose statements
// changed are made again; changed is their number. again: binary packages are spoken about in a release for the first time,
// and its hosts must be placed again.
func (f *Fleet) Learn(statements []intake.Statement) (changed int, again bool) {
	clear(f.releases)
	known, dirty := make(map[bookKey]bool, len(f.stated)), map[*book]bool{}
	for len(statements) > 0 {
		key := bookKey{statements[0].Release, statements[0].Package}
		n := 1
		for n < len(statements) && statements[n].Release == key.release && statements[n].Package == key.source {
			n++
		}
		group := statements[:n]
		known[key] = true
		f.releases[key.release] = f.releases[key.release] || slices.ContainsFunc(group, func(s intake.Statement) bool { return speaks(s) && s.Source != intake.Own })
		if f.say(key, group, dirty) && !f.detailed[key.release] {
			f.detailed[key.release], again = true, true
		}
		statements = statements[n:]
	}
	for key := range f.stated {
		if !known[key] {
			f.say(key, nil, dirty)
			delete(f.stated, key)
		}
	}
	for b := range dirty {
		f.gather(b)
	}
	f.changes += len(dirty)
	return len(dirty), again
}

// say keeps what is stated about a package, marks the books that it changes, and reports whether any of it is about a binary.
func (f *Fleet) say(key bookKey, group []intake.Statement, dirty map[*book]bool) (binary bool) {
	about := 0
	for i := range group {
		if group[i].Binary {
			about++
		}
	}
	old := f.stated[key]
	f.stated[key] = group
	b := f.books[key]
	if b == nil && about < len(group) {
		b = f.book(key)
	}
	if slices.Equal(old, group) {
		if b != nil && !b.merged {
			b.statements = group // let go of the old array
		}
		return about > 0
	}
	if b != nil {
		dirty[b] = true
	}
	for _, b := range f.makers[key] {
		dirty[b] = true
	}
	return about > 0
}

// gather makes a book again of what is stated about its source package and the binary ones.
func (f *Fleet) gather(b *book) {
	own, merged := f.stated[b.bookKey], false
	isBinary := func(s intake.Statement) bool { return s.Binary }
	if slices.ContainsFunc(own, isBinary) {
		own, merged = slices.DeleteFunc(slices.Clone(own), isBinary), true
	}
	for _, name := range b.binaries {
		for _, s := range f.stated[bookKey{b.release, name}] {
			if s.Binary {
				if !merged {
					own, merged = slices.Clone(own), true
				}
				own = append(own, s)
			}
		}
	}
	if merged {
		slices.SortStableFunc(own, func(x, y intake.Statement) int { return cmp.Compare(x.ID, y.ID) })
	}
	b.learn(own, merged)
}

func (f *Fleet) book(key bookKey) *book {
	b := f.books[key]
	if b == nil {
		b = &book{bookKey: key}
		f.books[key], f.of[key.source] = b, append(f.of[key.source], b)
		f.gather(b)
	}
	return b
}

// Place says which class a host is in; set is asked only for a class not seen before. A host is in one class.
func (f *Fleet) Place(host string, c Class, set func() (pkgset.Set, error)) error {
	old := f.hosts[host]
	detailed := f.detailed[c.Release]
	if old != nil && old.Class == c && old.detailed == detailed {
		return nil
	}
	k := f.classes[c]
	if k == nil || k.detailed != detailed {
		packages, err := set()
		if err != nil {
			return err
		}
		k = &class{Class: c, detailed: detailed, hosts: map[string]bool{}}
		for _, h := range holdings(c, packages, detailed) {
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

// Remove takes a host out, if it is in.
func (f *Fleet) Remove(host string) (had Had, was bool) {
	k := f.hosts[host]
	if k != nil {
		f.leave(host, k)
		f.order = nil
		f.changes++
	}
	return Had{k}, k != nil
}

// Len is how many places there are.
func (f *Fleet) Len() int { return len(f.hosts) }

// Changes counts how often what is counted changed.
func (f *Fleet) Changes() int { return f.changes }

// Environment gives that of a place which is in the fleet.
func (f *Fleet) Environment(place string) string { return f.hosts[place].Environment }

func (f *Fleet) leave(host string, k *class) {
	if k == nil {
		return
	}
	for _, p := range k.pairs {
		f.pairs[p].hosts--
	}
	delete(f.hosts, host)
	if delete(k.hosts, host); len(k.hosts) == 0 && f.classes[k.Class] == k {
		delete(f.classes, k.Class)
	}
}

func (f *Fleet) pair(h holding) int {
	if id, ok := f.ids[h]; ok {
		return id
	}
	id := len(f.pairs)
	p := pair{holding: h, vague: h.doubt != ""}
	var err error
	if p.key, err = h.key(h.version); err != nil {
		p.key, p.vague = incomparable, true
	}
	if p.runningKey, err = h.key(h.running); err != nil {
		p.runningKey = nil // none runs that matters
	}
	p.book = f.book(bookKey{h.release, h.source})
	f.name(p.book, h.names())
	p.chapter = p.book.chapter(h.lens)
	p.chapter.pairs = append(p.chapter.pairs, id)
	f.ids[h], f.pairs = id, append(f.pairs, p)
	return id
}

// name keeps which binary packages a book is about too.
func (f *Fleet) name(b *book, binaries []string) {
	stated := false
	for _, name := range binaries {
		if slices.Contains(b.binaries, name) {
			continue
		}
		key := bookKey{b.release, name}
		b.binaries, f.makers[key] = append(b.binaries, name), append(f.makers[key], b)
		stated = stated || len(f.stated[key]) > 0
	}
	if stated {
		f.gather(b)
		f.changes++
	}
}

// Count is one vulnerability in one source package of one release, with the number of hosts by verdict.
type Count struct {
	Source                              string
	Statement                           intake.Statement // that gives the verdict; of several for hosts of several kinds one
	Affected, AfterReboot, Undetermined int

	book  *book
	index int
}

// Digest is the statement's.
func (c Count) Digest() string { return c.book.digest(c.index) }

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

// tallyBook adds up the chapters of a book.
func (f *Fleet) tallyBook(b *book, all []Count) []Count {
	first := len(all)
	for _, c := range b.sorted() {
		all = f.tallyChapter(b, c, all)
	}
	of := all[first:]
	slices.SortStableFunc(of, func(x, y Count) int { return cmp.Compare(x.Statement.ID, y.Statement.ID) })
	n := 0
	for i, c := range of {
		if i > 0 && of[n-1].Statement.ID == c.Statement.ID {
			of[n-1].Affected += c.Affected
			of[n-1].AfterReboot += c.AfterReboot
			of[n-1].Undetermined += c.Undetermined
			continue
		}
		of[n] = c
		n++
	}
	return all[:first+n]
}

// tallyChapter counts by differences: a holding affects a suffix of the rules, so it is added where the suffix begins and the
// sums are made in one pass.
func (f *Fleet) tallyChapter(b *book, in *chapter, all []Count) []Count {
	n := len(in.rules)
	affected, reboot, undetermined := make([]int, n+1), make([]int, n+1), make([]int, n+1)
	hosts := 0
	for _, id := range in.pairs {
		p := &f.pairs[id]
		if p.hosts == 0 {
			continue
		}
		hosts += p.hosts
		from := in.above(p.key)
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
			reboot[in.above(p.runningKey)] += p.hosts
			reboot[from] -= p.hosts
		}
	}
	if hosts == 0 {
		return all
	}
	c := Count{Source: b.source, book: b}
	for i, r := range in.rules {
		c.Affected += affected[i]
		c.AfterReboot += reboot[i]
		c.Undetermined += undetermined[i]
		one := c
		if r.beside >= 0 {
			one.Undetermined = hosts - c.Affected - c.AfterReboot
		}
		if one.Affected+one.AfterReboot+one.Undetermined > 0 {
			one.Statement, one.index = b.statements[r.statement], r.statement
			all = append(all, one)
		}
	}
	for _, i := range in.unknown {
		all = append(all, Count{Source: b.source, Statement: b.statements[i], Undetermined: hosts, book: b, index: i})
	}
	return all
}
