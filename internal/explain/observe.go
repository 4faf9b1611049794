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
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Reconcile completes an Input from the stored trees (changes, and whatever the rules ask for) and judges each change. It gives
// the encoded Input with its report; Redo of the one gives the other.
func Reconcile(ctx context.Context, in *Input, objects filetree.Objects, facts Facts) ([]byte, *Report, error) {
	var err error
	if in.Changes, err = Changes(ctx, objects, in.Before, in.After); err != nil {
		return nil, nil, err
	}
	before, after := newTrees(ctx, objects, in.Before.Trees), newTrees(ctx, objects, in.After.Trees)
	m := &memory{before.find, after.find, map[string]Known{}}
	s, err := newScene(in, facts, func(p string) *filetree.Entry { return m.ask(p).Before }, func(p string) *filetree.Entry { return m.ask(p).After })
	if err != nil {
		return nil, nil, err
	}
	r := s.reconcile(in)
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

// Changes compares all roots of two observations; paths are the host's own.
func Changes(ctx context.Context, objects filetree.Objects, before, after wire.Observation) ([]filetree.Change, error) {
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
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b filetree.Change) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}
