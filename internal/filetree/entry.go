// Package filetree takes the state of a file tree: a Merkle tree of directories that says what every path is, and the
// differences between two such trees.
//
// A directory is an object: the sorted list of its entries with their identity attributes, named by the SHA-256 of its
// bytes. Equal subtrees have equal names, so they are stored once, sent once and skipped in a comparison. Times and
// inode numbers are no identity: they stay in the scanner's own State, where they say what need not be read again.
package filetree

import (
	"fmt"
	"maps"
	"strings"
	"unicode/utf8"
)

// Types of entries.
const (
	File    = "f"
	Dir     = "d"
	Symlink = "l"
	Char    = "c"
	Block   = "b"
	Pipe    = "p"
	Socket  = "s"
)

// Notes say what of an entry is not told, or told in another way. An entry with a note is a gap that a reader sees, never a
// silent one.
const (
	Excluded   = "excluded"   // by the policy: what is inside is not looked at
	Mount      = "mount"      // another file system that holds no files of its own (proc, sysfs, …) or is remote
	Unreadable = "unreadable" // the system refused to open or read it
	Unstable   = "unstable"   // changed while it was read, twice; the digest is of the second reading
	TooDeep    = "too-deep"   // a directory below MaxDepth
	TooLarge   = "too-large"  // a directory whose object would exceed MaxObject, or that comes after MaxEntries
	ReadError  = "read-error" // opening or reading failed in another way than by refusal
	Volatile   = "volatile"   // by the policy: a file whose size and content are not looked at
	Secret     = "secret"     // by the policy: the digest is keyed; it says on this host whether content changed, nowhere what it is
	Sparse     = "sparse"     // a huge file with little data: the digest is of the data and its places
	Attributes = "attributes" // extended attributes could not be read
)

// noteNames are the notes by their number in objects; new ones come last.
var noteNames = []string{"", Excluded, Mount, Unreadable, Unstable, TooDeep, TooLarge, ReadError, Volatile, Secret, Sparse, Attributes}

// Entry is one path's identity. Its strings that come from file systems (User, Group, Target, names of attributes) are in
// the form Quote gives, so they are valid UTF-8 and safe to print.
type Entry struct {
	Type   string            `json:"type"`
	Note   string            `json:"note,omitempty"`
	Mode   uint32            `json:"mode"` // the twelve permission bits
	UID    uint32            `json:"uid"`
	GID    uint32            `json:"gid"`
	User   string            `json:"user,omitempty"`  // by the tree's own /etc/passwd; empty: no such name
	Group  string            `json:"group,omitempty"` // by the tree's own /etc/group
	Size   int64             `json:"size,omitempty"`
	SHA256 string            `json:"sha256,omitempty"` // files; of another kind where Note is Secret or Sparse
	Target string            `json:"target,omitempty"` // symlinks
	Rdev   uint64            `json:"rdev,omitempty"`   // devices
	Xattrs map[string]string `json:"xattrs,omitempty"` // name → value in hex; capabilities and ACLs are among them: see Readable
	Name   string            `json:"-"`                // within the directory
	Tree   string            `json:"-"`                // digest of a directory's object
}

// Same reports whether two entries have the same identity attributes, apart from what is below a directory.
func (e Entry) Same(o Entry) bool {
	return e.Type == o.Type && e.Note == o.Note && e.Mode == o.Mode && e.UID == o.UID && e.GID == o.GID &&
		e.User == o.User && e.Group == o.Group && e.Size == o.Size && e.SHA256 == o.SHA256 && e.Target == o.Target &&
		e.Rdev == o.Rdev && maps.Equal(e.Xattrs, o.Xattrs)
}

// Quote writes a file name's bytes so that they are valid UTF-8, printable and can be taken back: a backslash is doubled,
// control characters and bytes that are not UTF-8 become \xHH.
func Quote(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= 0x20 && s[i] < 0x7f && s[i] != '\\'
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == utf8.RuneError && n == 1, r < 0x20, r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r >= 0x80 && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // C1 controls, bidi overrides
			for _, c := range []byte(s[i : i+n]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// Unquote takes back what Quote wrote; ok is false for text that Quote does not write.
func Unquote(s string) (raw string, ok bool) {
	if !strings.Contains(s, `\`) {
		return s, Quote(s) == s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if strings.HasPrefix(s[i:], `\\`) {
			b.WriteByte('\\')
			i++
			continue
		}
		var c byte
		if len(s) < i+4 {
			return "", false
		}
		if _, err := fmt.Sscanf(s[i:i+4], `\x%02x`, &c); err != nil {
			return "", false
		}
		b.WriteByte(c)
		i += 3
	}
	raw = b.String()
	return raw, Quote(raw) == s
}
