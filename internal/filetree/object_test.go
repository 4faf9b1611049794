package filetree

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func object(entries ...raw) []byte {
	b := []byte(magic)
	for i := range entries {
		b = appendRaw(b, &entries[i])
	}
	return b
}

func TestDecodeRefuses(t *testing.T) {
	file := raw{kind: 'f', name: "a", mode: 0o644}
	if _, err := Decode(object(file, raw{kind: 'l', name: "b", target: "x"})); err != nil {
		t.Fatalf("good object: %v", err)
	}
	for name, b := range map[string][]byte{
		"empty":             nil,
		"other magic":       []byte("pwtree2\n"),
		"not sorted":        object(raw{kind: 'p', name: "b"}, raw{kind: 'p', name: "a"}),
		"twice":             object(file, file),
		"slash":             object(raw{kind: 'p', name: "a/b"}),
		"dot":               object(raw{kind: 'p', name: "."}),
		"dot dot":           object(raw{kind: 'p', name: ".."}),
		"NUL":               object(raw{kind: 'p', name: "a\x00"}),
		"top not alone":     object(raw{kind: 'd', name: "/"}, raw{kind: 'p', name: "a"}),
		"top not directory": object(raw{kind: 'p', name: "/"}),
		"type":              object(raw{kind: 'x', name: "a"}),
		"note":              object(raw{kind: 'p', note: 200, name: "a"}),
		"mode":              object(raw{kind: 'p', name: "a", mode: 0o10000}),
		"attributes":        object(raw{kind: 'p', name: "a", xattrs: []xattr{{"b", ""}, {"a", ""}}}),
		"short":             object(file)[:40],
		"long number":       bytes.Replace(object(file), []byte{0xa4, 0x03}, []byte{0xa4, 0x83, 0x00}, 1),
		"long name":         object(raw{kind: 'p', name: strings.Repeat("n", maxText+1)}),
	} {
		if _, err := Decode(b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(object(raw{kind: 'f', name: "a", mode: 0o644, user: "root", size: 300}, raw{kind: 'd', name: "b"}))
	f.Add(object(raw{kind: 'l', name: "l", target: "\xff"}, raw{kind: 'c', name: "n", rdev: 1 << 60}))
	f.Add(object(raw{kind: 'd', name: "/", note: 2, xattrs: []xattr{{"user.a", "v"}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := Decode(b)
		if err != nil {
			return
		}
		r := reader[[]byte]{b: b[len(magic):]}
		again := []byte(magic)
		for range entries {
			e := r.next()
			again = appendRaw(again, &e)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x was taken but is written %x", b, again)
		}
	})
}

func FuzzQuote(f *testing.F) {
	f.Add("plain")
	f.Add("\xff\n\\x41 é\u202e\x7f\u0085")
	f.Fuzz(func(t *testing.T, s string) {
		q := Quote(s)
		if back, ok := Unquote(q); !ok || back != s {
			t.Errorf("%q is quoted %q and comes back %q, %v", s, q, back, ok)
		}
		if raw, ok := Unquote(s); ok && Quote(raw) != s {
			t.Errorf("%q is taken as the quoted form of %q", s, raw)
		}
	})
}

func TestDiff(t *testing.T) {
	root := t.TempDir()
	build(t, root, map[string]string{"a/same": "1", "a/changed": "1", "a.b": "1", "gone/x": "1", "kind": "1", "n\xff": "1"})
	before := scan(t, root, Options{}, nil)
	other := t.TempDir()
	build(t, other, map[string]string{"a/same": "1", "a/changed": "2", "a.b": "1", "new/y": "1", "kind/z": "1", "n\xff": "2"})
	after := scan(t, other, Options{}, nil)
	changes, err := Diff(context.Background(), both{before, after}, before.Digest, after.Digest)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range changes {
		was, is := "-", "-"
		if c.Before != nil {
			was = c.Before.Type
		}
		if c.After != nil {
			is = c.After.Type
		}
		got = append(got, was+is+" "+c.Path)
	}
	want := []string{"ff /a/changed", "d- /gone", "f- /gone/x", "fd /kind", "-f /kind/z", "-d /new", "-f /new/y", `ff /n\xff`}
	if d := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); d != "" {
		t.Error(d)
	}
}

// both finds objects in two states.
type both [2]*State

func (b both) Get(ctx context.Context, digest string) ([]byte, error) {
	if object, err := b[0].Get(ctx, digest); err == nil {
		return object, nil
	}
	return b[1].Get(ctx, digest)
}

// counting counts the objects read.
type counting struct {
	Objects
	read int
}

func (c *counting) Get(ctx context.Context, digest string) ([]byte, error) {
	c.read++
	return c.Objects.Get(ctx, digest)
}

func TestDiffSkipsEqualSubtrees(t *testing.T) {
	root := t.TempDir()
	build(t, root, map[string]string{"a/b/c/d": "1", "x/y/z": "1"})
	before := scan(t, root, Options{}, nil)
	build(t, root, map[string]string{"x/y/z": "2"})
	after := scan(t, root, Options{}, nil)
	objects := &counting{Objects: both{before, after}}
	changes, err := Diff(context.Background(), objects, before.Digest, after.Digest)
	if err != nil || len(changes) != 1 || objects.read != 8 {
		t.Errorf("%d changes after reading %d objects (%v), want 1 and 8: top, root, x, y of each side", len(changes), objects.read, err)
	}
}

func TestDiffIsBounded(t *testing.T) {
	s := newState(scan(t, t.TempDir(), Options{}, nil).Start)
	sum := s.add(topPlace.below("leaf"), record{object: object(raw{kind: 'p', name: "p"})})
	for range 60 { // 2^60 paths by 60 objects
		sum = s.add(topPlace.below("bomb"), record{object: object(raw{kind: 'd', name: "a", sum: sum}, raw{kind: 'd', name: "b", sum: sum})})
	}
	s.add(topPlace, record{object: object(raw{kind: 'd', name: "/", sum: sum})})
	d := differ{ctx: context.Background(), objects: s, left: 10_000}
	if err := d.trees("", "", s.Digest, 0); err == nil || len(d.changes) > 10_000 {
		t.Errorf("a tree of 2^60 paths was compared: %d changes, %v", len(d.changes), err)
	}
}
