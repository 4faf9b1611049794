// Package lag finds duplicated components: files of a root, a chroot say, that were copied from the host's packages and stay
// behind when the host's are upgraded.
package lag

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Tree is one root's file state.
type Tree struct {
	Objects filetree.Objects
	Digest  string
}

// maxCopies bounds how many copies of the host's files are watched in one root.
const maxCopies = 100_000

// Find finds duplicated components: files of a root that are byte for byte the host's file of the same path, and
// later are still what they were while the host's was replaced. was is what was equal at an earlier look; it gives what is
// to be remembered for the next (a copy that lags is remembered until it follows), what lags now, and the copies without extended
// attributes that do not, both sorted by path.
//
// It is pure: whose files they are is looked up by who asks, among those that lag.
func Find(ctx context.Context, host, inside Tree, was map[string]string) (copies map[string]string, lag, level []wire.Lagging, err error) {
	w := &walk{ctx: ctx, host: host, inside: inside, was: was, copies: map[string]string{}}
	object, err := w.top(inside)
	if err == nil {
		err = w.dir("/", object, 0)
	}
	return w.copies, w.lag, w.level, err
}

type walk struct {
	ctx          context.Context
	host, inside Tree
	was, copies  map[string]string
	lag, level   []wire.Lagging
}

// top gives the digest of the root directory: the tree's own object has it as its one entry.
func (w *walk) top(t Tree) (string, error) {
	entries, err := list(w.ctx, t, t.Digest)
	if err != nil || len(entries) != 1 {
		return "", err
	}
	return entries[0].Tree, nil
}

func list(ctx context.Context, t Tree, digest string) ([]filetree.Entry, error) {
	if digest == "" {
		return nil, nil
	}
	b, err := t.Objects.Get(ctx, digest)
	if err != nil {
		return nil, err
	}
	return filetree.Decode(b)
}

func (w *walk) dir(name, digest string, depth int) error {
	entries, err := list(w.ctx, w.inside, digest)
	if err != nil || depth > filetree.MaxDepth || len(entries) == 0 {
		return err
	}
	theirs, err := w.hostDir(name, 0)
	if err != nil || theirs == nil {
		return err
	}
	for _, e := range entries {
		full := path.Join(name, e.Name)
		switch e.Type {
		case filetree.Dir:
			if err := w.dir(full, e.Tree, depth+1); err != nil {
				return err
			}
		case filetree.File:
			w.file(full, e, theirs[e.Name])
		}
	}
	return nil
}

func (w *walk) file(name string, ours, theirs filetree.Entry) {
	if ours.Note+theirs.Note != "" || ours.SHA256 == "" || theirs.Type != filetree.File || theirs.SHA256 == "" || len(w.copies) >= maxCopies {
		return
	}
	key := filetree.Quote(name)
	switch {
	case ours.SHA256 == theirs.SHA256:
		if ours.Size > 0 {
			w.copies[key] = ours.SHA256
		}
		if ours.Size > 0 && len(ours.Xattrs) == 0 {
			w.level = append(w.level, wire.Lagging{Path: key, Has: ours.SHA256})
		}
	case w.was[key] == ours.SHA256:
		w.copies[key] = ours.SHA256
		w.lag = append(w.lag, wire.Lagging{Path: key, Has: ours.SHA256, Host: theirs.SHA256, Attributes: len(ours.Xattrs) > 0})
	}
}

// hostDir lists the host's directory of a path, through links such as /lib → usr/lib; nil where there is none.
func (w *walk) hostDir(name string, links int) (map[string]filetree.Entry, error) {
	digest, err := w.top(w.host)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(strings.Trim(name, "/"), "/")
	if name == "/" {
		parts = nil
	}
	for i, part := range parts {
		entries, err := list(w.ctx, w.host, digest)
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(entries, func(e filetree.Entry) bool { return e.Name == part })
		if at < 0 {
			return nil, nil
		}
		e := entries[at]
		switch target, ok := filetree.Unquote(e.Target); {
		case e.Type == filetree.Symlink && ok && links < 8:
			if !path.IsAbs(target) {
				target = path.Join("/", path.Join(parts[:i]...), target)
			}
			return w.hostDir(path.Join(target, path.Join(parts[i+1:]...)), links+1)
		case e.Type != filetree.Dir:
			return nil, nil
		}
		digest = e.Tree
	}
	entries, err := list(w.ctx, w.host, digest)
	byName := make(map[string]filetree.Entry, len(entries))
	for _, e := range entries {
		byName[e.Name] = e
	}
	return byName, err
}

// Owned keeps of what lags the files of the host's packages that no package of the root itself brings; those are told as the
// root's packages. At most MaxSources are told.
func Owned(lag []wire.Lagging, host, inside map[string]string) []wire.Lagging {
	var out []wire.Lagging
	for _, l := range lag {
		if l.Package = host[l.Path]; l.Package != "" && inside[l.Path] == "" && len(out) < wire.MaxSources {
			out = append(out, l)
		}
	}
	return out
}
