package drift

import (
	"math/bits"
	"sync"

	"github.com/patchwarrant/patchwarrant/internal/pkgset"
)

// shape is a package set drawn as bits, so that thousands of sets can be held against each other: which packages it has, and
// which of them in which version. A bit means the same in all shapes of one drawing.
type shape struct {
	names, versions []uint64
	packages        int // bits in names
}

// drawing gives each package, and each version of a package, its bit: the next one that is free.
type drawing struct {
	mu              sync.Mutex
	names, versions map[string]int
}

func (d *drawing) of(set pkgset.Set) shape {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names == nil {
		d.names, d.versions = map[string]int{}, map[string]int{}
	}
	all := versions(set)
	s := shape{packages: len(all)}
	for name, on := range all {
		s.names = mark(s.names, bit(d.names, name))
		s.versions = mark(s.versions, bit(d.versions, name+" "+on))
	}
	return s
}

func bit(of map[string]int, what string) int {
	n, ok := of[what]
	if !ok {
		n = len(of)
		of[what] = n
	}
	return n
}

func mark(words []uint64, n int) []uint64 {
	if short := n/64 + 1 - len(words); short > 0 {
		words = append(words, make([]uint64, short)...)
	}
	words[n/64] |= 1 << (n % 64)
	return words
}

// against counts as Packages does.
func (s shape) against(other shape) figure {
	return figure{same: common(s.versions, other.versions), all: s.packages + other.packages - common(s.names, other.names)}
}

func common(a, b []uint64) (n int) {
	b = b[:min(len(a), len(b))]
	for i, w := range b {
		n += bits.OnesCount64(a[i] & w)
	}
	return n
}

func (s shape) size() int { return 8*(cap(s.names)+cap(s.versions)) + 64 }
