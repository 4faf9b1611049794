package explain

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

// Reconcile completes an Input from the stored trees (changes, and whatever the rules ask for) and judges each change. It gives
// the encoded Input with its report; Redo of the one gives the other.
func Reconcile(ctx context.Context, in *Input, objects filetree.Objects, facts Facts) ([]byte, *Report, error) {
	var err error
	if in.Changes, err = Changes(ctx, objects, in); err != nil {
		return nil, nil, err
	}
	before, after := newTrees(ctx, objects, in.Before.Trees), newTrees(ctx, objects, in.After.Trees)
	m := &memory{before.find, after.find, map[string]Known{}}
	r, err := reconcile(in.own(), Inside{}, facts, m)
	if err != nil {
		return nil, nil, err
	}
	for _, i := range in.Roots {
		inside, err := reconcile(in.in(i), i, facts, m)
		if err != nil {
			return nil, nil, fmt.Errorf("root %s: %w", i.Root, err)
		}
		r.add(i.Root, inside)
	}
	if before.err != nil || after.err != nil {
		return nil, nil, fmt.Errorf("read file trees of host %s: %w", in.Host, cmp.Or(before.err, after.err))
	}
	in.Known = m.sorted()
	b, err := in.Encode()
	if err != nil {
		return nil, nil, err
	}
	r.Input = envelope.Digest(b)
	return b, r, nil
}

// reconcile does what is about one root: none, the host's own.
func reconcile(in *Input, i Inside, facts Facts, m *memory) (*Report, error) {
	s, err := newScene(in, i, facts, func(p string) *filetree.Entry { return m.ask(i.Root + p).Before }, func(p string) *filetree.Entry { return m.ask(i.Root + p).After })
	if err != nil {
		return nil, err
	}
	return s.reconcile(in), nil
}

// add adds the report about another root, whose paths are within it.
func (r *Report) add(root string, inside *Report) {
	for _, l := range inside.Lines {
		l.Path = path.Join(root, l.Path)
		r.Lines = append(r.Lines, l)
	}
	slices.SortStableFunc(r.Lines, func(a, b Line) int { return strings.Compare(a.Path, b.Path) })
	for v, n := range inside.Counts {
		r.Counts[v] += n
	}
	r.Already += inside.Already
}

// Changes compares all roots of two observations; paths are the host's own. What is in a root that the order changed is told by
// that root's own trees: those of / may show it too.
func Changes(ctx context.Context, objects filetree.Objects, in *Input) ([]filetree.Change, error) {
	before, after := in.Before, in.After
	roots := slices.Collect(maps.Keys(before.Trees))
	roots = slices.AppendSeq(roots, maps.Keys(after.Trees))
	slices.Sort(roots)
	all := []filetree.Change{}
	for _, root := range slices.Compact(roots) {
		some, err := filetree.Diff(ctx, objects, before.Trees[root], after.Trees[root])
		if err != nil {
			return nil, err
		}
		for _, c := range some {
			c.Path = path.Join(filetree.Quote(root), c.Path)
			if of := in.rootOf(c.Path); of == "" || of == root {
				all = append(all, c)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b filetree.Change) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}
