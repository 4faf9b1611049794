package verdict

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// Finding is a vulnerability on a host.
type Finding struct {
	ID      string  `json:"id"`
	Source  string  `json:"source"`
	Version string  `json:"source_version"`
	Verdict Verdict `json:"verdict"`
	Root    string  `json:"root,omitempty"` // of the host's roots; empty: /
}

// HostOf takes a place of the fleet apart. A host is one place, and each of its other roots is one of its own, named by the
// host's ID and the root's path: a chroot is patched apart from what is around it.
func HostOf(place string) (host, root string) {
	if i := strings.IndexByte(place, '/'); i >= 0 {
		return place[:i], place[i:]
	}
	return place, ""
}

// Findings judges one place, sorted by source and ID; what is not affected is left out.
func (f *Fleet) Findings(place string) []Finding {
	k := f.hosts[place]
	if k == nil {
		return []Finding{}
	}
	all := f.FindingsOf(Had{k})
	_, root := HostOf(place)
	for i := range all {
		all[i].Root = root
	}
	return all
}

// FindingsOf judges by what is stated now what a place had.
func (f *Fleet) FindingsOf(had Had) []Finding {
	all := []Finding{}
	for _, id := range had.class.pairs {
		p := &f.pairs[id]
		from := p.chapter.above(p.key)
		switch {
		case p.vague:
			from = 0
		case p.runningKey != nil:
			from = min(from, p.chapter.above(p.runningKey))
		}
		judge := func(l lead) {
			if v, s := f.verdict(p, l); v.Status != NotAffected {
				all = append(all, Finding{s.ID, p.source, p.version, v, ""})
			}
		}
		for i, r := range p.chapter.rules {
			if i >= from || r.beside >= 0 { // no other can affect it
				judge(r.lead)
			}
		}
		for _, i := range p.chapter.unknown {
			judge(lead{i, -1})
		}
	}
	slices.SortFunc(all, func(x, y Finding) int { return cmp.Or(cmp.Compare(x.Source, y.Source), cmp.Compare(x.ID, y.ID)) })
	return all
}

// Judged is a host with its verdict for one vulnerability.
type Judged struct {
	Host        string  `json:"host"`
	Root        string  `json:"root,omitempty"` // of the host's roots; empty: /
	Release     string  `json:"release"`
	Environment string  `json:"environment"`
	Version     string  `json:"source_version"`
	Verdict     Verdict `json:"verdict"`
}

// HostPage is a part of the hosts that have a source package, by ID.
type HostPage struct {
	Status Status // only with this verdict; empty: all
	After  string // the host before the first, its root behind its ID; empty: from the start
	Skip   int    // so many more are left out
	Limit  int    // 0: all
}

// Hosts judges hosts that have the source package for one vulnerability, sorted by host; what is not affected is included,
// so that each verdict's reason can be shown.
func (f *Fleet) Hosts(vulnerability, source string, p HostPage) []Judged {
	verdicts := f.verdicts(vulnerability, source)
	f.Sort()
	from, found := slices.BinarySearch(f.order, p.After)
	if found {
		from++
	}
	holds := make(map[*class]int) // the class's pair of the source package; -1: none that counts
	var all []Judged
	for _, host := range f.order[from:] {
		k := f.hosts[host]
		id, known := holds[k]
		if !known {
			id = k.one(verdicts, p.Status)
			holds[k] = id
		}
		if id < 0 {
			continue
		}
		if p.Skip > 0 {
			p.Skip--
			continue
		}
		of, root := HostOf(host)
		all = append(all, Judged{of, root, k.Release, k.Environment, f.pairs[id].version, verdicts[id]})
		if len(all) == p.Limit {
			break
		}
	}
	return all
}

// Sort puts the hosts in order, where that is not done. Until the next change, all that only asks is safe for concurrent use.
func (f *Fleet) Sort() {
	if f.order == nil {
		f.order = slices.Sorted(maps.Keys(f.hosts))
		if f.order == nil {
			f.order = []string{}
		}
	}
}

// one gives the pair among those judged that the class has, or -1 where it has none with the status.
func (k *class) one(verdicts map[int]Verdict, status Status) int {
	for id, v := range verdicts {
		if _, has := slices.BinarySearch(k.pairs, id); has && (status == "" || v.Status == status) {
			return id
		}
	}
	return -1
}

// verdicts judges every holding of a source package.
func (f *Fleet) verdicts(vulnerability, source string) map[int]Verdict {
	verdicts := make(map[int]Verdict)
	for _, b := range f.of[source] {
		for _, c := range b.chapters {
			if l, found := c.find(b, vulnerability); found {
				for _, id := range c.pairs {
					verdicts[id], _ = f.verdict(&f.pairs[id], l)
				}
			}
		}
	}
	return verdicts
}

// CountHosts counts the hosts that Hosts gives, by verdict.
func (f *Fleet) CountHosts(vulnerability, source string) map[Status]int {
	n := make(map[Status]int)
	for id, v := range f.verdicts(vulnerability, source) {
		if hosts := f.pairs[id].hosts; hosts > 0 {
			n[v.Status] += hosts
		}
	}
	return n
}

// Statements gives everything that is stated about a vulnerability in a source package, per release first what gives the
// verdict, then in precedence order.
func (f *Fleet) Statements(vulnerability, source string) []intake.Statement {
	all := []intake.Statement{}
	for _, b := range f.of[source] {
		of, first := b.of(vulnerability)
		lead := 0
		for _, c := range b.sorted() {
			if l, found := c.find(b, vulnerability); found {
				lead = l.statement - first
				break
			}
		}
		if len(of) > 0 {
			all = append(all, of[lead])
			all = append(append(all, of[:lead]...), of[lead+1:]...)
		}
	}
	slices.SortStableFunc(all, func(x, y intake.Statement) int { return cmp.Compare(x.Release, y.Release) })
	return all
}

// Concerned gives the hosts that are not known to be unaffected by all of some vulnerabilities ("ID/source"), of those that in
// lets by; one host again for each of its roots.
func (f *Fleet) Concerned(vulnerabilities []string, in func(host, environment string) bool) (hosts []string) {
	var concerned []map[int]Verdict // of each vulnerability
	for _, name := range vulnerabilities {
		id, source, _ := strings.Cut(name, "/")
		verdicts := f.verdicts(id, source)
		maps.DeleteFunc(verdicts, func(_ int, v Verdict) bool { return v.Status == NotAffected })
		concerned = append(concerned, verdicts)
	}
	reached := map[*class]bool{}
	for place, k := range f.hosts {
		has, known := reached[k]
		if !known {
			has = slices.ContainsFunc(concerned, func(v map[int]Verdict) bool { return k.one(v, "") >= 0 })
			reached[k] = has
		}
		if host, _ := HostOf(place); has && in(host, k.Environment) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// Unjudged gives the hosts whose release no source speaks about, sorted: nothing is known of them, which is not "not affected".
func (f *Fleet) Unjudged() []string {
	return f.hostsOf(func(release string) bool { return !f.releases[release] })
}

// hostsOf gives the hosts of some releases, sorted.
func (f *Fleet) hostsOf(in func(release string) bool) []string {
	hosts := []string{}
	for _, k := range f.classes {
		if in(k.Release) {
			hosts = slices.AppendSeq(hosts, maps.Keys(k.hosts))
		}
	}
	slices.Sort(hosts)
	return hosts
}
