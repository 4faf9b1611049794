package wire

import (
	"path"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
)

// Bounds of HostFacts. Contents beyond them are left out, and what needs them counts as unexplained.
const (
	MaxFactFile  = 8 << 20  // bytes of one file's content
	MaxFactBytes = 20 << 20 // bytes of all contents together, so that the document stays below MaxObject
	MaxFactFiles = 50_000
	FactHead     = 256 // bytes of a file of which only the beginning is told
)

// HostFacts are contents of a host's small files: what the prediction of a transaction rests on (taken before it), and what
// shows that the packager's books and derived files are what they should be (taken after it).
type HostFacts struct {
	At     time.Time  `json:"at"`
	Files  []FactFile `json:"files"`            // sorted by path; a path that is not there is no such file
	Shared []string   `json:"shared,omitempty"` // files of the packages concerned that another package's list names too, sorted
}

// FactFile is one regular file. Its bytes are believed only as far as their digest stands in the host's file tree.
type FactFile struct {
	Path    string `json:"path"` // as filetree.Quote writes it
	Size    int64  `json:"size"`
	MD5     string `json:"md5,omitempty"`     // of conffiles: dpkg's own way to tell whether one was edited
	Content []byte `json:"content,omitempty"` // whole, or the first FactHead bytes if Head
	Head    bool   `json:"head,omitempty"`
}

// Check implements Checker.
func (f *HostFacts) Check() error {
	if f.At.IsZero() || len(f.Files) > MaxFactFiles || len(f.Shared) > MaxFactFiles {
		return invalid("facts")
	}
	last, total := "", 0
	for _, file := range f.Files {
		total += len(file.Content)
		switch {
		case file.Path <= last || !path.IsAbs(file.Path) || len(file.Path) > 4*4096 || file.Size < 0,
			file.Head && len(file.Content) > FactHead, len(file.Content) > MaxFactFile, total > MaxFactBytes,
			file.MD5 != "" && !envelope.ValidDigest(file.MD5+file.MD5):
			return invalid("facts.files")
		}
		last = file.Path
	}
	return nil
}

// File gives a file by path, nil if there is none.
func (f *HostFacts) File(path string) *FactFile {
	lo, hi := 0, len(f.Files)
	for lo < hi {
		if mid := (lo + hi) / 2; f.Files[mid].Path < path {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(f.Files) && f.Files[lo].Path == path {
		return &f.Files[lo]
	}
	return nil
}
