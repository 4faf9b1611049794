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

// reader takes an object apart; after the first bad byte it only yields zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit || n > 1 && r.b[n-1] == 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.bad = true
	}
	if r.bad {
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) text(limit uint64) string { return string(r.bytes(int(r.number(limit)))) }

// next reads one entry.
func (r *reader) next() (e raw) {
	if head := r.bytes(2); head != nil {
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

// Decode reads a directory object. Exactly the bytes that a scan can write are taken; anything else is Invalid.
func Decode(object []byte) ([]Entry, error) {
	body, ok := bytes.CutPrefix(object, []byte(magic))
	if !ok || len(object) > MaxObject {
		return nil, fault.New(fault.Invalid, "directory object of %d bytes: no %q object of at most %d bytes", len(object), magic, MaxObject)
	}
	var out []Entry
	last := ""
	for r := (reader{b: body}); len(r.b) > 0; {
		at := len(body) - len(r.b)
		e := r.next()
		isTop := e.name == top && e.kind == 'd' && at == 0 && len(r.b) == 0
		wrong := e.name == "" || e.name == "." || e.name == ".." || strings.ContainsAny(e.name, "/\x00")
		if r.bad || wrong && !isTop || e.name <= last {
			return nil, fault.New(fault.Invalid, "directory object: bad entry at byte %d", at+len(magic))
		}
		last = e.name
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
	entries, err := Decode(object)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.Tree != "" {
			out = append(out, e.Tree)
		}
	}
	return out, nil
}
