package filetree

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"path"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Options of a scan.
type Options struct {
	Workers int       // at once; 0: one for each processor
	Exclude []string  // absolute paths in the tree whose contents are not looked at; see DefaultExclude
	Start   time.Time // now, by the scanned host's clock; decides what a later scan may reuse
}

// DefaultExclude names what a host's scan leaves out: kernel views, and what is empty after each boot.
func DefaultExclude() []string { return []string{"/proc", "/sys", "/dev", "/run", "/tmp"} }

// racy is how much older than a scan a change must be to be told from one during it: the file systems' clocks tick every
// 1 to 10 ms, so two changes in one tick carry one time.
const racy = 10 * time.Millisecond

// Scan takes the state of the tree at root. It follows no symlink below root, opens nothing but regular files and
// directories, and enters other file systems only if they hold files of their own. With prev, a file is read again only if
// its device, inode, size, modification or change time differ or it changed too near to prev's start to tell; nil reads
// all. What cannot be read is an entry with a note, not an error. Errors: the root itself, or ctx ended.
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
	s := &scanner{ctx: ctx, out: newState(o.Start), prev: prev, exclude: map[string]map[string]bool{}, safe: math.MinInt64}
	s.more.L = &s.mu
	for _, p := range o.Exclude {
		dir, name := path.Split(path.Clean("/" + p))
		dir = path.Clean(dir)
		if s.exclude[dir] == nil {
			s.exclude[dir] = map[string]bool{}
		}
		s.exclude[dir][name] = true
	}
	s.names = readNames(root)
	s.out.owners = s.names.digest
	if prev != nil {
		s.safe = prev.Start.Add(-racy).UnixNano()
	}
	above := &node{fd: -1, items: []item{{raw: raw{name: top, kind: 'd'}, volatile: volatileOf(&st)}}}
	above.items[0].describe(&st, s.names)
	if old, ok := s.previous(""); ok {
		above.items[0].reuse(old.next(top), s)
	}
	above.pending.Store(1)
	s.push(task{&node{parent: above, path: top, fd: -1, dev: st.Dev}, whole})
	s.rootFD = fd
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.NumCPU()
	}
	var group sync.WaitGroup
	for range workers {
		group.Go(func() { (&worker{scanner: s, buf: make([]byte, 256<<10), hash: sha256.New()}).run() })
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("scan %s: %w", root, err)
	}
	s.out.Stats.Objects = int64(len(s.out.objects))
	return s.out, nil
}

type scanner struct {
	ctx     context.Context
	out     *State
	prev    *State
	safe    int64                      // what changed before this time (ns) is known from prev
	exclude map[string]map[string]bool // directory → names in it
	names   *names
	rootFD  int

	mu    sync.Mutex
	more  sync.Cond
	queue []task
	busy  int
}

// node is a directory that is being scanned.
type node struct {
	parent  *node
	slot    int // in parent.items
	path    string
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
	gone bool   // vanished while we looked
	same []byte // its bytes in the previous object, while they may serve again
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
			s.out.add("", rec)
			s.mu.Unlock()
			return
		}
		mine := &n.parent.items[n.slot]
		if len(rec.object) > MaxObject {
			mine.gap(TooLarge)
		} else {
			sum := sha256.Sum256(rec.object)
			mine.sum = sum
			s.mu.Lock()
			s.out.put(n.path, rec, sum)
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
		case e.same != nil && (e.kind != 'd' || string(e.same[len(e.same)-sha256.Size:]) == string(e.sum[:])):
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
	e.same = nil
}

// old walks a directory's previous record beside its listing.
type old struct {
	reader
	volatile []byte
	ahead    raw
	bytes    []byte
	at       volatile
}

// previous opens the record that prev has of a directory.
func (s *scanner) previous(path string) (*old, bool) {
	if s.prev == nil {
		return nil, false
	}
	r, ok := s.prev.dirs[path]
	if !ok {
		return nil, false
	}
	return &old{reader: reader{b: r.object[len(magic):]}, volatile: r.volatile}, true
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
	if o == nil || o.ahead.kind != e.kind || o.ahead.note != 0 || o.at != e.volatile || e.ctime >= s.safe ||
		e.kind == 'f' && o.ahead.size != e.size {
		return false
	}
	e.sum, e.target, e.xattrs = o.ahead.sum, o.ahead.target, o.ahead.xattrs
	if s.prev.owners == s.out.owners {
		e.same = o.bytes
	}
	return true
}
