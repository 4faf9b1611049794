package triage

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

// place takes a place of the fleet apart. A host is one place, and each of its other roots is one of its own, named by the
// host's ID and the root's path: a chroot is patched apart from what is around it.
func place(name string) (host, root string) {
	if i := strings.IndexByte(name, '/'); i >= 0 {
		return name[:i], name[i:]
	}
	return name, ""
}

// Findings judges one place, sorted by source and ID; what is not affected is left out.
func (f *Fleet) Findings(host string) []Finding {
	k := f.hosts[host]
	if k == nil {
		return []Finding{}
	}
	all := f.findingsOf(k)
	_, root := place(host)
	for i := range all {
		all[i].Root = root
	}
	return all
}

// findingsOf judges what the hosts of a class have, also of one that no host is in any more.
func (f *Fleet) findingsOf(k *class) []Finding {
	all := []Finding{}
	for _, id := range k.pairs {
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

// HostVerdict is one host's verdict for one vulnerability.
type HostVerdict struct {
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
func (f *Fleet) Hosts(vulnerability, source string, p HostPage) []HostVerdict {
	verdicts := f.verdicts(vulnerability, source)
	f.sort()
	from, found := slices.BinarySearch(f.order, p.After)
	if found {
		from++
	}
	holds := make(map[*class]int) // the class's pair of the source package; -1: none that counts
	var all []HostVerdict
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
		of, root := place(host)
		all = append(all, HostVerdict{of, root, k.Release, k.Environment, f.pairs[id].version, verdicts[id]})
		if len(all) == p.Limit {
			break
		}
	}
	return all
}

// sort puts the hosts in order, where that is not done. Until the next change, all that only asks is safe for concurrent use.
func (f *Fleet) sort() {
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
