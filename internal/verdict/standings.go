package verdict

import "slices"

// bits is a set of small numbers.
type bits []uint64

func (b *bits) add(n int) {
	for len(*b) <= n/64 {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func (b bits) has(n int) bool { return n/64 < len(b) && b[n/64]&(1<<(n%64)) != 0 }

func (b *bits) join(other bits) {
	for len(*b) < len(other) {
		*b = append(*b, 0)
	}
	for i, word := range other {
		(*b)[i] |= word
	}
}

// Standings gives for each vulnerability that hosts are affected by, or were until their next boot, the distinct standings
// of those hosts, sorted. A standing is whatever the caller tells apart, such as a zone; of is asked once for each place. It costs
// one pass over the hosts, one over the pairs of each class, and one over the rules: findings are not enumerated. A rule's
// affected holdings are a prefix sum of sets, as they are of numbers in tallyChapter.
func (f *Fleet) Standings(of func(place string) string) map[string][]string {
	var names []string
	ids := map[string]int{}
	held := make([]bits, len(f.pairs))
	for _, k := range f.classes {
		var here bits
		for host := range k.hosts {
			name := of(host)
			n, known := ids[name]
			if !known {
				n, names = len(names), append(names, name)
				ids[name] = n
			}
			here.add(n)
		}
		for _, p := range k.pairs {
			held[p].join(here)
		}
	}
	found := map[string]bits{}
	for _, b := range f.books {
		for _, c := range b.chapters {
			f.standingsOf(b, c, held, found)
		}
	}
	all := make(map[string][]string, len(found))
	for name, set := range found {
		var list []string
		for n := range names {
			if set.has(n) {
				list = append(list, names[n])
			}
		}
		slices.Sort(list)
		all[name] = list
	}
	return all
}

func (f *Fleet) standingsOf(b *book, c *chapter, held []bits, found map[string]bits) {
	from := make([]bits, len(c.rules)+1)
	some := false
	for _, id := range c.pairs {
		p := &f.pairs[id]
		if p.hosts == 0 || p.artefacts {
			continue
		}
		i := c.above(p.key)
		if p.runningKey != nil {
			i = min(i, c.above(p.runningKey))
		}
		from[i].join(held[id])
		some = true
	}
	if !some {
		return
	}
	var sum bits
	for i, r := range c.rules {
		if sum.join(from[i]); len(sum) == 0 {
			continue
		}
		name := b.statements[r.statement].ID + "/" + b.source
		set := found[name]
		joined := slices.Clone(set)
		joined.join(sum)
		found[name] = joined
	}
}
