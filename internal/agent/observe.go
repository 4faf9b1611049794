package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// object is something the server may ask for by its digest.
type object struct {
	kind  string
	bytes []byte
}

// observation is a host's state with the bytes behind its digests.
type observation struct {
	wire.Observation
	origins, inventory string
	roots              map[string]wire.Root
	objects            map[string]object
}

func (o *observation) add(kind string, b []byte) string {
	digest := envelope.Digest(b)
	o.objects[digest] = object{kind, b}
	return digest
}

// look reads packages and inventory, and the trees as last scanned; anew if the last scan is old, or now is not nil. Then the files
// in now are read whatever their times say.
func (a *Agent) look(ctx context.Context, now touched) (*observation, error) {
	o := &observation{Observation: wire.Observation{At: a.now().UTC().Truncate(time.Microsecond), Trees: map[string]string{}}, objects: map[string]object{}}
	var err error
	for _, root := range a.config.Roots {
		if o.Trees[root], err = a.tree(ctx, root, now); err != nil {
			return nil, err
		}
	}
	return o, a.describe(ctx, o)
}

// seenTree is what the agent remembers of a root's last scan.
type seenTree struct {
	Digest string    `json:"digest"`
	At     time.Time `json:"at"`
}

// touched are the files of packages that a transaction changes.
type touched map[filetree.Inode]struct{}

// tree gives the digest of a root's file state: as last scanned, or anew.
func (a *Agent) tree(ctx context.Context, root string, now touched) (string, error) {
	seen, known := a.memory.Trees[root]
	age := a.now().Sub(seen.At)
	if known && now == nil && age >= 0 && age < a.config.scanEvery() {
		return seen.Digest, nil
	}
	defer debug.FreeOSMemory() // a scan needs a hundred times what the agent needs at rest
	file := a.places.tree(root)
	prev, err := filetree.Read(file)
	if err != nil {
		prev = nil
		if !errors.Is(err, fs.ErrNotExist) {
			a.log.Warn("the last file state is of no use; all files are read anew", "root", root, "error", err)
		}
	}
	key, err := scanKey(a.places)
	if err != nil {
		return "", err
	}
	began := a.now()
	o := filetree.Options{Policy: a.policyOf(root), Key: key, Start: began, Again: now}
	if now == nil {
		o.Workers = 1 // the host's own work goes first
	}
	state, err := filetree.Scan(ctx, filepath.Join(a.places.Root, root), o, prev)
	if err != nil {
		return "", fmt.Errorf("take the file state of %s: %w", root, err)
	}
	if err := state.Write(file); err != nil {
		return "", err
	}
	a.memory.Trees[root] = seenTree{state.Digest, began.UTC()}
	a.log.Info("file state taken", "root", root, "digest", state.Digest, "files", state.Stats.Files, "bytes_read", state.Stats.Hashed,
		"gaps", state.Stats.Gaps, "took", a.now().Sub(began).Round(time.Millisecond))
	if n := state.Stats.Forged; n > 0 {
		a.log.Error("ALARM: files have other content under the size, times and inode they had", "root", root, "files", n)
	}
	return state.Digest, a.remember()
}

// policyOf is the scan policy of a root: of the system's own root without what the agent and the executor write while they work.
func (a *Agent) policyOf(root string) filetree.Policy {
	if root != "/" {
		return a.policy
	}
	return a.policy.With(filetree.Policy{Excluded: []string{a.places.State, a.places.Executor}})
}

// upload sends the server what it lacks of an observation: of trees only the directories it does not know, each after
// those below it, so that a directory that is there is there with all it holds.
func (a *Agent) upload(ctx context.Context, o *observation) error {
	var plain []string
	for digest := range o.objects {
		plain = append(plain, digest)
	}
	slices.Sort(plain)
	missing, err := a.missing(ctx, plain)
	if err != nil {
		return err
	}
	for _, digest := range missing {
		if x, ok := o.objects[digest]; ok {
			if err := a.client.put(ctx, digest, x.kind, x.bytes); err != nil {
				return err
			}
		}
	}
	for root, digest := range o.Trees {
		if err := a.uploadTree(ctx, root, digest); err != nil {
			return fmt.Errorf("upload the file state of %s: %w", root, err)
		}
	}
	return nil
}

// uploadTree sends a tree. Of the tree that was sent last the server has every directory, so only what is not in it is asked
// for, and what is in it in another form goes as a delta.
func (a *Agent) uploadTree(ctx context.Context, root, digest string) error {
	if missing, err := a.missing(ctx, []string{digest}); err != nil || len(missing) == 0 {
		return err
	}
	defer debug.FreeOSMemory()
	tree, err := filetree.Read(a.places.tree(root))
	if err == nil && tree.Digest != digest {
		err = fault.New(fault.Conflict, "it was taken again meanwhile")
	}
	if err != nil {
		delete(a.memory.Trees, root)
		return err
	}
	sent, err := a.sentTree(ctx, root)
	if err != nil {
		return err
	}
	t := &treeUpload{tree: tree, lacks: map[string][]string{}, bases: tree.Bases(sent), send: a.client.put}
	for level := []string{tree.Digest}; len(level) > 0; {
		level = slices.DeleteFunc(level, func(d string) bool { _, err := sent.Get(ctx, d); return err == nil })
		missing, err := a.missing(ctx, level)
		if err != nil {
			return err
		}
		if level, err = t.lacking(ctx, missing); err != nil {
			return err
		}
	}
	if err := t.put(ctx, tree.Digest); err != nil {
		return err
	}
	return a.keepSent(root)
}

// sentTree gives the tree that was sent last if the server still has it, else an empty one.
func (a *Agent) sentTree(ctx context.Context, root string) (*filetree.State, error) {
	sent, err := filetree.Read(a.places.sentTree(root))
	if err != nil { // there is none, or it was lost with the machine's power: only more is sent
		return new(filetree.State), nil
	}
	missing, err := a.missing(ctx, []string{sent.Digest})
	if err != nil || len(missing) > 0 {
		return new(filetree.State), err
	}
	return sent, nil
}

// keepSent remembers the tree in hand as the one sent last: the file gets a second name.
func (a *Agent) keepSent(root string) error {
	name := a.places.sentTree(root)
	if err := errors.Join(remove(name), os.Link(a.places.tree(root), name)); err != nil {
		return fmt.Errorf("remember what was sent: %w", err)
	}
	return nil
}

// treeUpload is one tree on its way.
type treeUpload struct {
	tree  *filetree.State
	lacks map[string][]string // a directory the server lacks → those it holds
	bases map[string][]byte   // a directory → what it was when it was sent last
	send  func(ctx context.Context, digest, kind string, b []byte) error
}

// lacking notes directories as lacking and gives those below them that are to be asked for.
func (t *treeUpload) lacking(ctx context.Context, digests []string) (below []string, err error) {
	for _, digest := range digests {
		b, err := t.tree.Get(ctx, digest)
		if err != nil {
			return nil, err
		}
		if t.lacks[digest], err = filetree.Subtrees(b); err != nil {
			return nil, err
		}
		below = append(below, t.lacks[digest]...)
	}
	slices.Sort(below)
	return slices.DeleteFunc(slices.Compact(below), func(d string) bool { _, known := t.lacks[d]; return known }), nil
}

// put sends a directory that the server lacks, after those below it.
func (t *treeUpload) put(ctx context.Context, digest string) error {
	below, lacking := t.lacks[digest]
	if !lacking {
		return nil
	}
	delete(t.lacks, digest)
	for _, d := range below {
		if err := t.put(ctx, d); err != nil {
			return err
		}
	}
	b, err := t.tree.Get(ctx, digest)
	if err != nil {
		return err
	}
	if base, ok := t.bases[digest]; ok {
		if delta := filetree.Delta(base, b); len(delta) < len(b) {
			return t.send(ctx, digest, wire.TreeDelta, delta)
		}
	}
	return t.send(ctx, digest, wire.TreeObject, b)
}

// missing asks the server which of the digests it lacks.
func (a *Agent) missing(ctx context.Context, digests []string) ([]string, error) {
	var all []string
	for chunk := range slices.Chunk(digests, wire.MaxMissing) {
		var answer wire.Missing
		if err := a.client.post(ctx, wire.MissingPath, wire.Missing{Digests: chunk}, wire.MaxDocument, &answer); err != nil {
			return nil, err
		}
		for _, d := range answer.Digests {
			if !slices.Contains(chunk, d) {
				return nil, fault.New(fault.Unavailable, "the server asks for an object it was not told of")
			}
		}
		all = append(all, answer.Digests...)
	}
	return all, nil
}
