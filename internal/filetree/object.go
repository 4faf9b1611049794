package filetree

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Bounds of a tree.
const (
	MaxObject  = 32 << 20  // bytes of one directory object, about 400,000 files
	MaxEntries = 2_000_000 // of one tree; directories met after them are not entered
	MaxDepth   = 256       // directories below the root
	maxText    = 4096      // bytes of a name, a link target, an owner
	maxXattr   = 1 << 16   // bytes of an attribute's value, and number of attributes
)

// An object is the magic and then its entries in the order of their names (bytes), each
//
//	type, note, name, mode, uid, gid, user, group, number of attributes, (name, value)…, body
//
// where the type is a byte, the note an index in noteNames, numbers are minimal unsigned varints and texts are a length and
// bytes. The body is size and digest of a file, SHA-256 of a directory's object, target of a symlink, number of a device; entries
// whose note says that it is not known have none. A file's digest is the SHA-256 of its content; HMAC-SHA-256 with a key of the
// host's own where the note is Secret; where it is Sparse, the SHA-256 over offset and bytes of each 4 KiB page that is not all
// zero, then the size, both as 8 bytes, little-endian. The top object has one entry, the root directory, named "/".
const magic = "pwtree1\n"

const top = "/" // name of the top object's one entry

// raw is an entry as it stands in an object; its texts are the file system's own bytes.
type raw struct {
	kind, note     byte
	name           string
	mode, uid, gid uint32
	user, group    string
	xattrs         []xattr
	size           int64
	sum            [sha256.Size]byte // of a file's content or a directory's object
	target         string
	rdev           uint64
}

type xattr struct{ name, value string }

// hasBody says whether the entry's content is known.
func (e *raw) hasBody() bool {
	switch e.kind {
	case 'f':
		switch noteNames[e.note] {
		case "", Unstable, Secret, Sparse, Attributes:
			return true
		}
		return false
	case 'd':
		return e.note == 0 || noteNames[e.note] == Attributes
	}
	return true
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendRaw(b []byte, e *raw) []byte {
	b = append(b, e.kind, e.note)
	b = appendText(b, e.name)
	b = binary.AppendUvarint(b, uint64(e.mode))
	b = binary.AppendUvarint(b, uint64(e.uid))
	b = binary.AppendUvarint(b, uint64(e.gid))
	b = appendText(b, e.user)
	b = appendText(b, e.group)
	b = binary.AppendUvarint(b, uint64(len(e.xattrs)))
	for _, x := range e.xattrs {
		b = appendText(appendText(b, x.name), x.value)
	}
	if !e.hasBody() {
		return b
	}
	switch e.kind {
	case 'f':
		b = append(binary.AppendUvarint(b, uint64(e.size)), e.sum[:]...)
	case 'd':
		b = append(b, e.sum[:]...)
	case 'l':
		b = appendText(b, e.target)
	case 'c', 'b':
		b = binary.AppendUvarint(b, e.rdev)
	}
	return b
}

// reader takes an object apart; after the first bad byte it only yields zeros. Of a string nothing is copied.
type reader[T string | []byte] struct {
	b   T
	bad bool
}

// number reads a minimal unsigned varint.
func (r *reader[T]) number(limit uint64) (v uint64) {
	for i := 0; i < len(r.b) && i < binary.MaxVarintLen64; i++ {
		c := r.b[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		if v |= uint64(c&0x7f) << (7 * i); c >= 0x80 {
			continue
		}
		if v > limit || i > 0 && c == 0 {
			break
		}
		r.b = r.b[i+1:]
		return v
	}
	r.bad = true
	return 0
}

func (r *reader[T]) bytes(n int) (b T) {
	if n > len(r.b) {
		r.bad = true
	}
	if r.bad {
		return b
	}
	b, r.b = r.b[:n], r.b[n:]
	return b
}

func (r *reader[T]) text(limit uint64) string { return string(r.bytes(int(r.number(limit)))) }

// next reads one entry.
func (r *reader[T]) next() (e raw) {
	if head := r.bytes(2); len(head) == 2 {
		e.kind, e.note = head[0], head[1]
	}
	if strings.IndexByte("fdlcbps", e.kind) < 0 || int(e.note) >= len(noteNames) {
		r.bad = true
		return e
	}
	e.name = r.text(maxText)
	e.mode = uint32(r.number(0o7777))
	e.uid = uint32(r.number(1<<32 - 1))
	e.gid = uint32(r.number(1<<32 - 1))
	e.user, e.group = r.text(maxText), r.text(maxText)
	for n := r.number(maxXattr); n > 0 && !r.bad; n-- {
		x := xattr{r.text(maxText), r.text(maxXattr)}
		if k := len(e.xattrs); k > 0 && x.name <= e.xattrs[k-1].name {
			r.bad = true
		}
		e.xattrs = append(e.xattrs, x)
	}
	if !e.hasBody() {
		return e
	}
	switch e.kind {
	case 'f':
		e.size = int64(r.number(1<<63 - 1))
		copy(e.sum[:], r.bytes(sha256.Size))
	case 'd':
		copy(e.sum[:], r.bytes(sha256.Size))
	case 'l':
		e.target = r.text(maxText)
	case 'c', 'b':
		e.rdev = r.number(1<<64 - 1)
	}
	return e
}

// walk takes the entries of an object one by one. Exactly the bytes that a scan can write are taken.
type walk struct {
	reader[string]
	size int
	last string // name
}

// open begins a walk. Errors: Invalid.
func open(object []byte) (walk, error) {
	body, ok := bytes.CutPrefix(object, []byte(magic))
	if !ok || len(object) > MaxObject {
		return walk{}, fault.New(fault.Invalid, "directory object of %d bytes: no %q object of at most %d bytes", len(object), magic, MaxObject)
	}
	return walk{reader: reader[string]{b: string(body)}, size: len(body)}, nil
}

// step gives the next entry and its bytes; there must be one. Errors: Invalid.
func (w *walk) step() (e raw, own string, err error) {
	before := w.b
	e = w.next()
	own = before[:len(before)-len(w.b)]
	isTop := e.name == top && e.kind == 'd' && len(before) == w.size && len(w.b) == 0
	wrong := e.name == "" || e.name == "." || e.name == ".." || strings.ContainsAny(e.name, "/\x00")
	if w.bad || wrong && !isTop || e.name <= w.last {
		return e, "", fault.New(fault.Invalid, "directory object: bad entry at byte %d", w.size-len(before)+len(magic))
	}
	w.last = e.name
	return e, own, nil
}

// Decode reads a directory object. Errors: Invalid.
func Decode(object []byte) ([]Entry, error) {
	w, err := open(object)
	if err != nil {
		return nil, err
	}
	var out []Entry
	for len(w.b) > 0 {
		e, _, err := w.step()
		if err != nil {
			return nil, err
		}
		out = append(out, e.entry())
	}
	return out, nil
}

func (e *raw) entry() Entry {
	out := Entry{Type: string(e.kind), Note: noteNames[e.note], Mode: e.mode, UID: e.uid, GID: e.gid, User: Quote(e.user),
		Group: Quote(e.group), Size: e.size, Target: Quote(e.target), Rdev: e.rdev, Name: Quote(e.name)}
	if e.hasBody() && e.kind == 'f' {
		out.SHA256 = hex.EncodeToString(e.sum[:])
	}
	if e.hasBody() && e.kind == 'd' {
		out.Tree = hex.EncodeToString(e.sum[:])
	}
	if len(e.xattrs) > 0 {
		out.Xattrs = make(map[string]string, len(e.xattrs))
		for _, x := range e.xattrs {
			out.Xattrs[Quote(x.name)] = hex.EncodeToString([]byte(x.value))
		}
	}
	return out
}

// Subtrees gives the digests of the objects an object refers to, for walking a tree that is to be sent or stored.
func Subtrees(object []byte) ([]string, error) {
	w, err := open(object)
	if err != nil {
		return nil, err
	}
	var out []string
	for len(w.b) > 0 {
		e, _, err := w.step()
		if err != nil {
			return nil, err
		}
		if e.kind == 'd' && e.hasBody() {
			out = append(out, hex.EncodeToString(e.sum[:]))
		}
	}
	return out, nil
}
