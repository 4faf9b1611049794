package filetree

import (
	"context"
	"fmt"
	"path"
	"strings"

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

// open begins a walk over the directory object with a digest; "" is an empty directory.
func (d *differ) open(digest string) (walk, error) {
	if digest == "" {
		return walk{}, nil
	}
	object, err := d.objects.Get(d.ctx, digest)
	if err != nil {
		return walk{}, err
	}
	return open(object)
}

// trees compares the contents of the directory at dir.
func (d *differ) trees(dir, a, b string, depth int) error {
	if a == b {
		return nil
	}
	if depth > MaxDepth+1 {
		return fault.New(fault.Invalid, "tree is too deep at %s", dir)
	}
	was, err := d.open(a)
	if err != nil {
		return err
	}
	is, err := d.open(b)
	if err != nil {
		return err
	}
	var ex, ey raw
	var x, y *raw // the entries in hand: ex and ey, or none
	for {
		if d.left--; d.left < 0 {
			return fault.New(fault.Invalid, "trees are too large at %s", dir)
		}
		var own string
		if x == nil && len(was.b) > 0 {
			if ex, own, err = was.step(); err != nil {
				return err
			}
			x = &ex
		}
		if y == nil && own != "" && strings.HasPrefix(is.b, own) && x.name > is.last { // the same bytes: the same entry
			is.b, is.last, x = is.b[len(own):], x.name, nil
			continue
		}
		if y == nil && len(is.b) > 0 {
			if ey, _, err = is.step(); err != nil {
				return err
			}
			y = &ey
		}
		switch {
		case x == nil && y == nil:
			return d.ctx.Err()
		case y == nil || x != nil && x.name < y.name:
			err, x = d.entries(dir, x, nil, depth), nil
		case x == nil || y.name < x.name:
			err, y = d.entries(dir, nil, y, depth), nil
		default:
			err, x, y = d.entries(dir, x, y, depth), nil, nil
		}
		if err != nil {
			return err
		}
	}
}

// entries compares the entry of one name; x or y may be nil, not both.
func (d *differ) entries(dir string, x, y *raw, depth int) error {
	var was, is Entry
	c := Change{}
	if x != nil {
		was = x.entry()
		c.Before = &was
	}
	if y != nil {
		is = y.entry()
		c.After = &is
	}
	c.Path = path.Join(dir, was.Name)
	if x == nil {
		c.Path = path.Join(dir, is.Name)
	}
	if x == nil || y == nil || !was.Same(is) {
		d.changes = append(d.changes, c)
	}
	return d.trees(c.Path, was.Tree, is.Tree, depth+1)
}
