package verdict

// Share is a part of the hosts, with what affects them. The findings of all shares together are those of the fleet.
type Share struct {
	Hosts           int
	Findings        int
	Vulnerabilities int   // distinct
	Of              []int // of those, how many are in each of the sets that were given
}

// counts holds a number for each name; those at its end that are 0 may be missing.
type counts []int

func (c *counts) add(other counts) {
	if short := len(other) - len(*c); short > 0 {
		*c = append(*c, make(counts, short)...)
	}
	for i, n := range other {
		(*c)[i] += n
	}
}

// Shares parts the hosts by whatever the caller tells apart, such as their owner, and gives each part by its name. Of is asked
// once for each place; sets are of vulnerabilities, by name. It counts as Standings and tallyChapter do: one pass over the hosts,
// one over the pairs of each class, one over the rules.
func (f *Fleet) Shares(of func(place string) string, sets ...map[string]bool) map[string]*Share {
	var names []string
	all, ids := map[string]*Share{}, map[string]int{}
	held := make([]counts, len(f.pairs))
	for _, k := range f.classes {
		var here counts
		for place := range k.hosts {
			name := of(place)
			n, known := ids[name]
			if !known {
				n, names = len(names), append(names, name)
				ids[name], all[name] = n, &Share{Of: make([]int, len(sets))}
			}
			if _, root := HostOf(place); root == "" { // a root is no other host
				all[name].Hosts++
			}
			one := make(counts, n+1)
			one[n] = 1
			here.add(one)
		}
		for _, p := range k.pairs {
			held[p].add(here)
		}
	}
	found := map[string]bits{}
	for _, b := range f.books {
		for _, c := range b.chapters {
			f.sharesOf(b, c, held, func(vulnerability string, sum counts) {
				set := found[vulnerability]
				for n, findings := range sum {
					if findings > 0 {
						all[names[n]].Findings += findings
						set.add(n)
					}
				}
				found[vulnerability] = set
			})
		}
	}
	for vulnerability, set := range found {
		for n, name := range names {
			if !set.has(n) {
				continue
			}
			all[name].Vulnerabilities++
			for i, s := range sets {
				if s[vulnerability] {
					all[name].Of[i]++
				}
			}
		}
	}
	return all
}

func (f *Fleet) sharesOf(b *book, c *chapter, held []counts, found func(vulnerability string, sum counts)) {
	from := make([]counts, len(c.rules)+1)
	for _, id := range c.pairs {
		if p := &f.pairs[id]; p.hosts > 0 && !p.artefacts {
			from[c.above(p.key)].add(held[id])
		}
	}
	var sum counts
	for i, r := range c.rules {
		if sum.add(from[i]); len(sum) > 0 {
			found(b.statements[r.statement].ID+"/"+b.source, sum)
		}
	}
}
