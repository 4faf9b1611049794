package filetree

import (
	"context"
	"fmt"
	"path"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Objects gives directory objects by digest (lower hex SHA-256).
type Objects interface {
	Get(ctx context.Context, digest string) ([]byte, error)
}

// Change is a path whose identity differs between two trees: Before is nil for a new path, After for one that is gone. A
// directory is named only if its own attributes differ; what is inside speaks for itself. Path is absolute within the tree,
// in the form Quote gives.
type Change struct {
	Path   string `json:"path"`
	Before *Entry `json:"before,omitempty"`
	After  *Entry `json:"after,omitempty"`
}

// maxVisited bounds what one comparison looks at, so that a forged tree whose directories refer to each other many times
// cannot keep a server busy.
const maxVisited = 5_000_000

// Diff compares the trees with the top digests a and b and gives the changes in the order of a walk, names sorted; an empty
// digest is the empty tree. Equal subtrees are not read. Errors: an object that is missing or is no directory object.
func Diff(ctx context.Context, objects Objects, a, b string) ([]Change, error) {
	d := differ{ctx: ctx, objects: objects, left: maxVisited}
	if err := d.trees("", a, b, 0); err != nil {
		return nil, fmt.Errorf("compare trees %.12s and %.12s: %w", a, b, err)
	}
	return d.changes, nil
}

type differ struct {
	ctx     context.Context
	objects Objects
	left    int // entries it may still look at
	changes []Change
}

func (d *differ) list(digest string) ([]Entry, error) {
	if digest == "" {
		return nil, nil
	}
	object, err := d.objects.Get(d.ctx, digest)
	if err != nil {
		return nil, err
	}
	return Decode(object)
}

// trees compares the contents of the directory at dir.
func (d *differ) trees(dir, a, b string, depth int) error {
	if a == b {
		return nil
	}
	before, err := d.list(a)
	if err != nil {
		return err
	}
	after, err := d.list(b)
	if err != nil {
		return err
	}
	if d.left -= len(before) + len(after); d.left < 0 || depth > MaxDepth+1 {
		return fault.New(fault.Invalid, "tree is too large or too deep at %s", dir)
	}
	if err := d.ctx.Err(); err != nil {
		return err
	}
	for len(before) > 0 || len(after) > 0 {
		var x, y *Entry
		switch {
		case len(after) == 0 || len(before) > 0 && less(before[0], after[0]):
			x, before = &before[0], before[1:]
		case len(before) == 0 || less(after[0], before[0]):
			y, after = &after[0], after[1:]
		default:
			x, before, y, after = &before[0], before[1:], &after[0], after[1:]
		}
		if err := d.entries(dir, x, y, depth); err != nil {
			return err
		}
	}
	return nil
}

// less orders entries as Decode gives them: by the bytes of the names before quoting.
func less(x, y Entry) bool {
	a, _ := Unquote(x.Name)
	b, _ := Unquote(y.Name)
	return a < b
}

// entries compares the entry of one name; x or y may be nil, not both.
func (d *differ) entries(dir string, x, y *Entry, depth int) error {
	var was, is string
	var name string
	if x != nil {
		was, name = x.Tree, x.Name
	}
	if y != nil {
		is, name = y.Tree, y.Name
	}
	at := path.Join(dir, name)
	if x == nil || y == nil || !x.Same(*y) {
		d.changes = append(d.changes, Change{Path: at, Before: x, After: y})
	}
	return d.trees(at, was, is, depth+1)
}
