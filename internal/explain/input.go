package explain

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// MaxInput bounds an encoded Input, in bytes.
const MaxInput = 256 << 20

// Input is everything one host's reconciliation rests on. It is stored as a fact and cited by the act, so that anyone can
// do the work again (Redo). What is large is named by digest: Facts lists these.
type Input struct {
	Order    string            `json:"order"`
	Host     string            `json:"host"`
	Actions  []warrant.Action  `json:"actions"`
	Contents []string          `json:"contents"` // of Contents documents, one for each action with a package, in order
	Before   wire.Observation  `json:"before"`
	After    wire.Observation  `json:"after"`
	Roots    []Inside          `json:"roots,omitempty"`    // what the order did in other roots of the host
	Manifest string            `json:"manifest,omitempty"` // what stage showed; empty on stage itself
	Changes  []filetree.Change `json:"changes"`            // between Before and After
	Known    []Known           `json:"known"`              // paths the rules asked for, sorted
}

// Inside is what an order did in a root of a host beside its own.
type Inside struct {
	Root     string           `json:"root"`
	Actions  []warrant.Action `json:"actions"`
	Contents []string         `json:"contents"`
	Copies   []warrant.Copy   `json:"copies,omitempty"`
	Origins  []string         `json:"origins,omitempty"` // of Contents documents, one for each of Copies' packages
}

// in gives what of the input is about one of its Roots, with paths as they are within it.
func (in *Input) in(i Inside) *Input {
	part := &Input{Order: in.Order, Host: in.Host, Actions: i.Actions, Contents: i.Contents, Manifest: in.Manifest,
		Before: wire.Observation{Facts: in.Before.RootFacts[i.Root]}, After: wire.Observation{Facts: in.After.RootFacts[i.Root]}}
	for _, c := range in.Changes {
		if in.rootOf(c.Path) == i.Root {
			c.Path, _ = within(i.Root, c.Path)
			part.Changes = append(part.Changes, c)
		}
	}
	return part
}

// own gives what of the input is about none of its Roots.
func (in *Input) own() *Input {
	part := *in
	part.Changes = slices.DeleteFunc(slices.Clone(in.Changes), func(c filetree.Change) bool { return in.rootOf(c.Path) != "" })
	return &part
}

// rootOf gives that of its Roots which a path is in; empty for none. Of two it is the inner one.
func (in *Input) rootOf(p string) (root string) {
	for _, i := range in.Roots {
		if _, inside := within(i.Root, p); inside && len(i.Root) > len(root) {
			root = i.Root
		}
	}
	return root
}

// within gives a host's path as it is within a root; false if it is not in it.
func within(root, p string) (string, bool) {
	rest, ok := strings.CutPrefix(p, root)
	return path.Join("/", rest), ok && (rest == "" || rest[0] == '/')
}

// Known is what stood at a path in the trees.
type Known struct {
	Path   string          `json:"path"`
	Before *filetree.Entry `json:"before,omitempty"`
	After  *filetree.Entry `json:"after,omitempty"`
}

// Encode gives the input's one encoding.
func (in *Input) Encode() ([]byte, error) { return envelope.Encode(in) }

// DecodeInput reads an encoded Input; bytes that Encode would not write are Invalid.
func DecodeInput(b []byte) (*Input, error) {
	var in Input
	if err := Decode(b, &in); err != nil {
		return nil, err
	}
	if !slices.IsSortedFunc(in.Known, func(a, b Known) int { return strings.Compare(a.Path, b.Path) }) {
		return nil, fault.New(fault.Invalid, "reconciliation input: known paths are not sorted")
	}
	return &in, nil
}

// Decode reads a document of this package; bytes that its encoding would not write are Invalid.
func Decode(b []byte, v any) error {
	if len(b) > MaxInput {
		return fault.New(fault.Invalid, "document of %d bytes is over %d", len(b), MaxInput)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fault.New(fault.Invalid, "document is not the JSON expected here")
	}
	again, err := envelope.Encode(v)
	if err != nil || !bytes.Equal(again, b) {
		return fault.New(fault.Invalid, "document is not in its one encoding")
	}
	return nil
}

// Facts lists the digests of the facts that Redo asks for.
func (in *Input) Facts() []string {
	out := slices.Clone(in.Contents)
	for _, i := range in.Roots {
		out = append(append(out, i.Contents...), i.Origins...)
	}
	facts := slices.Collect(maps.Values(in.Before.RootFacts))
	facts = slices.AppendSeq(facts, maps.Values(in.After.RootFacts))
	for _, d := range append(facts, in.Before.Facts, in.After.Facts, in.Manifest) {
		if d != "" {
			out = append(out, d)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Facts gives a fact's bytes by digest; Redo verifies them.
type Facts func(digest string) ([]byte, error)

// lookup gives what stands at an absolute path of a host, nil for nothing.
type lookup func(path string) *filetree.Entry

// trees looks up paths in stored file trees, by root.
type trees struct {
	ctx     context.Context
	objects filetree.Objects
	roots   map[string]string
	listed  map[string]map[string]*filetree.Entry // by digest
	err     error                                 // the first that happened
}

func newTrees(ctx context.Context, objects filetree.Objects, roots map[string]string) *trees {
	return &trees{ctx: ctx, objects: objects, roots: roots, listed: map[string]map[string]*filetree.Entry{}}
}

func (t *trees) list(digest string) map[string]*filetree.Entry {
	if all, ok := t.listed[digest]; ok || t.err != nil {
		return all
	}
	object, err := t.objects.Get(t.ctx, digest)
	if err != nil {
		t.err = err
		return nil
	}
	entries, err := filetree.Decode(object)
	if err != nil {
		t.err = err
		return nil
	}
	all := make(map[string]*filetree.Entry, len(entries))
	for i := range entries {
		all[entries[i].Name] = &entries[i]
	}
	t.listed[digest] = all
	return all
}

// find is a lookup.
func (t *trees) find(p string) *filetree.Entry {
	root, digest := "", ""
	for r, d := range t.roots {
		if len(r) > len(root) && (r == "/" || p == r || strings.HasPrefix(p, r+"/")) {
			root, digest = r, d
		}
	}
	if digest == "" {
		return nil
	}
	e := t.list(digest)["/"]
	for name := range strings.SplitSeq(strings.Trim(strings.TrimPrefix(p, root), "/"), "/") {
		if name == "" {
			continue
		}
		if e == nil || e.Tree == "" {
			return nil
		}
		e = t.list(e.Tree)[name]
	}
	return e
}

// memory wraps two lookups and remembers what was asked.
type memory struct {
	before, after lookup
	known         map[string]Known
}

func (m *memory) ask(p string) Known {
	k, ok := m.known[p]
	if !ok {
		k = Known{p, m.before(p), m.after(p)}
		m.known[p] = k
	}
	return k
}

func (m *memory) sorted() []Known {
	out := make([]Known, 0, len(m.known))
	for _, k := range m.known {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b Known) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// canonical gives the path after following the host's symlinks in its parents, as the kernel would; the last part stays
// (rule P4). Parents that do not exist stay as they are.
func canonical(p string, look lookup) string {
	parts := strings.Split(strings.Trim(path.Clean(p), "/"), "/")
	at := "/"
	for hops := 0; len(parts) > 1; {
		next := path.Join(at, parts[0])
		e := look(next)
		if e == nil || e.Type != filetree.Symlink || hops == 40 {
			at, parts = next, parts[1:]
			continue
		}
		hops++
		if path.IsAbs(e.Target) {
			at = "/"
		}
		parts = append(slices.DeleteFunc(strings.Split(e.Target, "/"), func(s string) bool { return s == "" || s == "." }), parts[1:]...)
		for len(parts) > 1 && parts[0] == ".." {
			at, parts = path.Dir(at), parts[1:]
		}
	}
	return path.Join(at, parts[0])
}
