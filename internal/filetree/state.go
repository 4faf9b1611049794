package filetree

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// State is the outcome of a scan: the tree's objects, and what the next scan needs in order to read only what changed.
type State struct {
	Digest string    // of the top object: the tree's name
	Start  time.Time // of the scan, by the scanned host's clock
	Stats  Stats     // of the scan; not kept in the file

	owners  [sha256.Size]byte // of the tree's passwd and group; entries are reused as they stand only under the same names
	terms   [sha256.Size]byte // of policy and key; nothing is reused under others
	dirs    map[place]record
	objects map[[sha256.Size]byte][]byte
}

// Stats counts what a scan met.
type Stats struct {
	Files   int64 `json:"files"`
	Dirs    int64 `json:"dirs"`
	Others  int64 `json:"others"`  // symlinks, devices, pipes, sockets
	Bytes   int64 `json:"bytes"`   // size of the files
	Hashed  int64 `json:"hashed"`  // bytes read and hashed
	Gaps    int64 `json:"gaps"`    // entries with a note
	Objects int64 `json:"objects"` // directory objects
	Forged  int64 `json:"forged"`  // files read again by the rotation whose content had changed though size, times and inode had not
}

// place names a directory by its path: the SHA-256 of its parent's place and its name. So a path of any length costs the same.
type place [sha256.Size]byte

// topPlace is the top object's, rootPlace the root directory's.
var topPlace, rootPlace = place{}, place{}.below(top)

func (p place) below(name string) place {
	return sha256.Sum256(append(p[:len(p):len(p)], name...))
}

// record is one directory: its object and, for each entry in order, volatileSize bytes of identity on disk.
type record struct {
	object   []byte
	volatile []byte
}

// volatile is what an unchanged entry keeps: device, inode, modification and change time in nanoseconds.
type volatile struct {
	dev, ino     uint64
	mtime, ctime int64
}

const volatileSize = 32

func (v volatile) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, v.dev)
	b = binary.LittleEndian.AppendUint64(b, v.ino)
	b = binary.LittleEndian.AppendUint64(b, uint64(v.mtime))
	return binary.LittleEndian.AppendUint64(b, uint64(v.ctime))
}

func readVolatile(b []byte) volatile {
	le := binary.LittleEndian
	return volatile{le.Uint64(b), le.Uint64(b[8:]), int64(le.Uint64(b[16:])), int64(le.Uint64(b[24:]))}
}

// Get gives a directory object of the state.
func (s *State) Get(_ context.Context, digest string) ([]byte, error) {
	var key [sha256.Size]byte
	if n, err := hex.Decode(key[:], []byte(digest)); err == nil && n == len(key) {
		if object, ok := s.objects[key]; ok {
			return object, nil
		}
	}
	return nil, fault.New(fault.NotFound, "no directory object %.64q in the file state", digest)
}

// Digests lists the state's objects, in no order.
func (s *State) Digests() iter.Seq[string] {
	return func(yield func(string) bool) {
		for d := range s.objects {
			if !yield(hex.EncodeToString(d[:])) {
				return
			}
		}
	}
}

// The file of a state: a header, a record per directory (place, object, volatile part), the SHA-256 of all before.
const (
	stateMagic = "patchwarrant file state 2\n"
	maxState   = 4 << 30
)

// Write writes the state to a file: a new one beside it, synced, then renamed over it.
func (s *State) Write(file string) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".state-")
	if err != nil {
		return fmt.Errorf("write file state: %w", err)
	}
	err = s.encode(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write file state %s: %w", file, err)
	}
	return nil
}

func (s *State) encode(w io.Writer) error {
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 1<<18)
	head := []byte(stateMagic)
	head = binary.AppendUvarint(head, uint64(s.Start.UnixNano()))
	head = append(append(head, s.owners[:]...), s.terms[:]...)
	if _, err := out.Write(head); err != nil {
		return err
	}
	var b []byte
	for at, r := range s.dirs {
		b = append(b[:0], at[:]...)
		b = append(binary.AppendUvarint(b, uint64(len(r.object))), r.object...)
		b = append(binary.AppendUvarint(b, uint64(len(r.volatile))), r.volatile...)
		if _, err := out.Write(b); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := w.Write(sum.Sum(nil))
	return err
}

// Read reads a state that Write wrote; a damaged file is Invalid.
func Read(file string) (*State, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read file state: %w", err)
	}
	if info.Size() > maxState {
		return nil, fault.New(fault.Invalid, "file state %s has %d bytes, more than %d", file, info.Size(), int64(maxState))
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read file state: %w", err)
	}
	s, err := decodeState(b)
	if err != nil {
		return nil, fmt.Errorf("read file state %s: %w", file, err)
	}
	return s, nil
}

func decodeState(b []byte) (*State, error) {
	n := len(b) - sha256.Size
	if n < len(stateMagic) || !bytes.HasPrefix(b, []byte(stateMagic)) {
		return nil, fault.New(fault.Invalid, "this is no file state; make one with: patchwarrant-agent tree ROOT -o FILE")
	}
	if sum := sha256.Sum256(b[:n]); !bytes.Equal(sum[:], b[n:]) {
		return nil, fault.New(fault.Invalid, "damaged: its checksum differs; scan again")
	}
	r := reader[[]byte]{b: b[len(stateMagic):n]}
	s := newState(time.Unix(0, int64(r.number(1<<63-1))).UTC())
	copy(s.owners[:], r.bytes(sha256.Size))
	copy(s.terms[:], r.bytes(sha256.Size))
	for len(r.b) > 0 && !r.bad {
		var at place
		copy(at[:], r.bytes(len(at)))
		object := r.bytes(int(r.number(MaxObject)))
		rec := record{object: object, volatile: r.bytes(int(r.number(MaxObject)))}
		s.add(at, rec)
	}
	if _, ok := s.dirs[topPlace]; r.bad || !ok {
		return nil, fault.New(fault.Invalid, "malformed; scan again")
	}
	return s, nil
}

func newState(start time.Time) *State {
	return &State{Start: start, dirs: map[place]record{}, objects: map[[sha256.Size]byte][]byte{}}
}

// add files a directory and returns its object's digest.
func (s *State) add(at place, r record) [sha256.Size]byte {
	sum := sha256.Sum256(r.object)
	s.put(at, r, sum)
	return sum
}

func (s *State) put(at place, r record, sum [sha256.Size]byte) {
	s.dirs[at] = r
	s.objects[sum] = r.object
	if at == topPlace {
		s.Digest = hex.EncodeToString(sum[:])
	}
}
