package filetree

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Options of a scan.
type Options struct {
	Workers int                // at once; 0: one for each processor
	Policy  Policy             // the zero Policy tells all in full
	Key     []byte             // the host's own: keys the digests of secret files and the order of re-reading
	Start   time.Time          // now, by the scanned host's clock; decides what may be reused, in this scan and a later one
	Rotate  time.Duration      // within which every file is read again, changed or not; 0: a week
	Again   map[Inode]struct{} // files that are read again now
}

// Inode is a file on a host.
type Inode struct{ Dev, Ino uint64 }

const week = 7 * 24 * time.Hour

// racy is how much older than a scan a change must be to be told from one during it: the file systems' clocks tick every
// 1 to 10 ms, so two changes in one tick carry one time.
const racy = 10 * time.Millisecond

// Scan takes the state of the tree at root. It follows no symlink below root, opens nothing but regular files and
// directories, each by one name below its directory's descriptor, and enters other file systems only if they hold files of
// their own. What cannot be read is an entry with a note, not an error.
//
// With prev, a file is read again only if its device, inode, size, modification or change time differ or it changed too near
// to prev's start to tell; if Options.Again names it; or if its turn has come: each file has a moment of its own in every
// Options.Rotate, and is read by the first scan after it. A state taken under another policy or key is not used, nor one from
// the future. Errors: the root itself, a policy with secrets without a key, or ctx ended.
//
// Concurrency: directories are units of work on a last-in-first-out queue, large files are units of their own; a
// directory's object is made when the last thing below it is done.
func Scan(ctx context.Context, root string, o Options, prev *State) (*State, error) {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("scan %s: %w", root, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("scan %s: %w", root, err)
	}
	s, err := newScanner(ctx, root, o, prev)
	if err != nil {
		return nil, fmt.Errorf("scan %s: %w", root, err)
	}
	above := &node{fd: -1, at: topPlace, items: []item{{raw: raw{name: top, kind: 'd'}}}}
	above.items[0].describe(&st, s.names)
	above.items[0].reuse(s.previous(topPlace).next(top), s)
	above.pending.Store(1)
	s.push(task{&node{parent: above, at: rootPlace, fd: -1, dev: st.Dev, rules: o.Policy.compile()}, whole})
	s.rootFD = fd
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.NumCPU()
	}
	var group sync.WaitGroup
	for range workers {
		group.Go(newWorker(s, o.Key).run)
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("scan %s: %w", root, err)
	}
	s.out.Stats.Objects = int64(len(s.out.objects))
	return s.out, nil
}

func newScanner(ctx context.Context, root string, o Options, prev *State) (*scanner, error) {
	if len(o.Policy.Secret) > 0 && len(o.Key) == 0 {
		return nil, fault.New(fault.Invalid, "a policy with secret files needs a key")
	}
	policy, err := json.Marshal(o.Policy)
	if err != nil {
		return nil, err
	}
	s := &scanner{ctx: ctx, out: newState(o.Start), again: o.Again, names: readNames(root), safe: math.MinInt64, linked: map[Inode]item{}}
	s.more.L = &s.mu
	s.out.owners = s.names.digest
	terms := hmac.New(sha256.New, o.Key)
	terms.Write(policy)
	terms.Sum(s.out.terms[:0])
	if prev == nil || prev.terms != s.out.terms || prev.Start.After(o.Start) {
		return s, nil
	}
	s.prev = prev
	s.safe = prev.Start.Add(-racy).UnixNano()
	s.rotate.period = uint64(o.Rotate)
	if o.Rotate <= 0 {
		s.rotate.period = uint64(week)
	}
	s.rotate.from = uint64(prev.Start.UnixNano()) % s.rotate.period
	s.rotate.span = uint64(o.Start.Sub(prev.Start))
	return s, nil
}

type scanner struct {
	ctx    context.Context
	out    *State
	prev   *State
	safe   int64 // what changed before this time (ns) is known from prev
	rotate rotation
	again  map[Inode]struct{}
	names  *names
	rootFD int
	met    atomic.Int64 // entries

	mu     sync.Mutex
	more   sync.Cond
	queue  []task
	busy   int
	linked map[Inode]item // large files with several names that were read
}

// rotation says whose turn it is to be read again: whose moment in the period lies within span after from, all in nanoseconds.
type rotation struct{ period, from, span uint64 }

// due reports whether it is the turn of the file called name in the directory at. Where it is in the period depends on a hash of
// its path that starts from the terms of the scan, and so, by the key, cannot be told on another host.
func (r rotation) due(terms *[sha256.Size]byte, at *place, name string) bool {
	if r.span == 0 {
		return false
	}
	const prime = 1099511628211 // FNV-1a
	h := uint64(14695981039346656037)
	for i := range 8 {
		h = (h ^ uint64(terms[i]^at[i])) * prime
	}
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * prime
	}
	h ^= h >> 29
	return (h%r.period+r.period-r.from)%r.period < r.span
}

// node is a directory that is being scanned.
type node struct {
	parent  *node
	slot    int // in parent.items
	at      place
	rules   rules
	fd      int
	dev     uint64
	depth   int
	items   []item
	users   atomic.Int32 // of fd: the listing, subdirectories to open, large files to read
	pending atomic.Int32 // the same and subdirectories to finish: at 0 the object is made
}

// item is an entry that is being described.
type item struct {
	raw
	volatile
	blocks int64              // of 512 bytes that a file has on disk
	links  bool               // a file with several names
	secret bool               // a file whose digest is keyed
	gone   bool               // vanished while we looked
	was    *[sha256.Size]byte // the digest before, of a file that is read only because its turn has come
	same   string             // its bytes in the previous object, while they may serve again
}

// task is a directory (slot is whole) or one of its large files.
type task struct {
	node *node
	slot int
}

const whole = -1

// large is the size from which a file is a task of its own, so that all workers are busy to the end.
const large = 4 << 20

func (s *scanner) push(t task) {
	s.mu.Lock()
	s.queue = append(s.queue, t)
	s.mu.Unlock()
	s.more.Signal()
}

// pop waits for a task; ok is false when all work is done or the context ended.
func (s *scanner) pop() (t task, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) == 0 && s.busy > 0 {
		s.more.Wait()
	}
	if len(s.queue) == 0 {
		return t, false
	}
	t = s.queue[len(s.queue)-1]
	s.queue = s.queue[:len(s.queue)-1]
	s.busy++
	return t, true
}

func (s *scanner) done() {
	s.mu.Lock()
	s.busy--
	idle := s.busy == 0 && len(s.queue) == 0
	s.mu.Unlock()
	if idle {
		s.more.Broadcast()
	}
}

func (n *node) release() {
	if n.users.Add(-1) == 0 {
		unix.Close(n.fd)
	}
}

// finish makes the objects of n and of every directory above that has nothing left to wait for.
func (s *scanner) finish(n *node) {
	for n != nil && n.pending.Add(-1) == 0 {
		rec := n.record()
		if n.parent == nil {
			s.mu.Lock()
			s.out.add(topPlace, rec)
			s.mu.Unlock()
			return
		}
		mine := &n.parent.items[n.slot]
		switch {
		case mine.note != 0 && !mine.hasBody(): // it could not be listed to the end
		case len(rec.object) > MaxObject:
			mine.gap(TooLarge)
			atomic.AddInt64(&s.out.Stats.Gaps, 1)
		default:
			sum := sha256.Sum256(rec.object)
			mine.sum = sum
			s.mu.Lock()
			s.out.put(n.at, rec, sum)
			s.mu.Unlock()
		}
		n = n.parent
	}
}

// record writes the directory's object.
func (n *node) record() record {
	size := len(magic)
	for i := range n.items {
		size += 80 + len(n.items[i].name)
	}
	r := record{object: append(make([]byte, 0, size), magic...), volatile: make([]byte, 0, len(n.items)*volatileSize)}
	for i := range n.items {
		e := &n.items[i]
		switch {
		case e.gone:
			continue
		case e.same != "" && (e.kind != 'd' || e.same[len(e.same)-sha256.Size:] == string(e.sum[:])):
			r.object = append(r.object, e.same...)
		default:
			r.object = appendRaw(r.object, &e.raw)
		}
		r.volatile = e.append(r.volatile)
	}
	n.items = nil
	return r
}

// gap marks an entry as not described in full.
func (e *item) gap(note string) {
	for i, name := range noteNames {
		if name == note {
			e.note = byte(i)
		}
	}
	e.same = ""
}

// old walks a directory's previous record beside its listing.
type old struct {
	reader[string]
	volatile []byte
	ahead    raw
	bytes    string
	at       volatile
}

// previous opens the record that prev has of a directory, or gives nil.
func (s *scanner) previous(at place) *old {
	if s.prev == nil {
		return nil
	}
	r, ok := s.prev.dirs[at]
	if !ok {
		return nil
	}
	return &old{reader: reader[string]{b: string(r.object[len(magic):])}, volatile: r.volatile}
}

// next gives the entry called name, or nil; names must come sorted.
func (o *old) next(name string) *old {
	if o == nil {
		return nil
	}
	for o.ahead.name < name && len(o.b) > 0 && len(o.volatile) >= volatileSize && !o.bad {
		before := o.b
		o.ahead = o.reader.next()
		o.bytes = before[:len(before)-len(o.b)]
		o.at, o.volatile = readVolatile(o.volatile), o.volatile[volatileSize:]
	}
	if o.bad || o.ahead.name != name {
		return nil
	}
	return o
}

// reuse takes over what the previous scan found if nothing can have changed since, and says whether it did. A directory
// is still listed: its entries may have changed.
func (e *item) reuse(o *old, s *scanner) bool {
	if o == nil || o.ahead.kind != e.kind || o.at != e.volatile || e.ctime >= s.safe || e.kind == 'f' && o.ahead.size != e.size {
		return false
	}
	switch noteNames[o.ahead.note] {
	case "", Secret, Sparse:
	default:
		return false
	}
	e.note, e.sum, e.target, e.xattrs = o.ahead.note, o.ahead.sum, o.ahead.target, o.ahead.xattrs
	if s.prev.owners == s.out.owners {
		e.same = o.bytes
	}
	return true
}
