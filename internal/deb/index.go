package deb

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Bounds of an index and of what it may name, in bytes. Debian 12 main has 50 MB; the largest .deb has about 1.5 GB.
const (
	MaxIndex   = 512 << 20
	MaxPackage = 4 << 30
)

// IndexEntry is one package of an archive's Packages index. Relations stay text: few of the 60,000 are ever read.
type IndexEntry struct {
	Name, Arch, Version           string
	Source, SourceVersion         string
	MultiArch                     string
	Essential                     bool
	PreDepends, Depends, Provides string
	Conflicts, Breaks, Replaces   string
	Filename                      string // path below the archive's root
	Size                          int64
	SHA256                        string
	Raw                           string // the stanza's lines, without the empty line after them
}

// ParsePackages reads a Packages index entry by entry, in its order. It stops at the first error, of kind fault.Invalid
// when the index is malformed or larger than MaxIndex.
func ParsePackages(r io.Reader) iter.Seq2[IndexEntry, error] {
	return func(yield func(IndexEntry, error) bool) {
		limited := &io.LimitedReader{R: r, N: MaxIndex + 1}
		stanzas := NewReader(limited)
		for {
			s, err := stanzas.Next()
			if limited.N == 0 {
				err = fault.New(fault.Invalid, "the index is larger than %d bytes", MaxIndex)
			}
			if errors.Is(err, io.EOF) {
				return
			}
			var e IndexEntry
			if err == nil {
				e, err = indexEntry(s)
			}
			if err != nil {
				yield(IndexEntry{}, fmt.Errorf("read package index: %w", err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func indexEntry(s Stanza) (IndexEntry, error) {
	e := IndexEntry{
		Name: s.Get("Package"), Arch: s.Get("Architecture"), Version: s.Get("Version"),
		MultiArch: s.Get("Multi-Arch"), Essential: s.Get("Essential") == "yes",
		PreDepends: s.Get("Pre-Depends"), Depends: s.Get("Depends"), Provides: s.Get("Provides"),
		Conflicts: s.Get("Conflicts"), Breaks: s.Get("Breaks"), Replaces: s.Get("Replaces"),
		Filename: s.Get("Filename"), SHA256: s.Get("SHA256"), Raw: s.Raw,
	}
	if !ValidName(e.Name) || !ValidArch(e.Arch) {
		return e, fault.New(fault.Invalid, "stanza without a proper package name and architecture: %.100q %.100q", e.Name, e.Arch)
	}
	if err := ValidVersion(e.Version); err != nil {
		return e, fmt.Errorf("package %s: %w", e.Name, err)
	}
	var err error
	if e.Source, e.SourceVersion, err = SourceOf(e.Name, e.Version, s.Get("Source")); err != nil {
		return e, err
	}
	if e.Size, err = strconv.ParseInt(s.Get("Size"), 10, 64); err != nil || e.Size < 0 || e.Size > MaxPackage {
		return e, fault.New(fault.Invalid, "package %s: Size %.40q is no number of bytes up to %d", e.Name, s.Get("Size"), int64(MaxPackage))
	}
	if !isHex(e.SHA256, 64) {
		return e, fault.New(fault.Invalid, "package %s: no proper SHA256", e.Name)
	}
	if !validPath(e.Filename) {
		return e, fault.New(fault.Invalid, "package %s: Filename %.200q is no plain relative path", e.Name, e.Filename)
	}
	return e, nil
}

// validPath: relative, without empty, "." or ".." parts, printable ASCII only.
func validPath(p string) bool {
	if p == "" || len(p) > 1024 {
		return false
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	for i := range len(p) {
		if p[i] <= ' ' || p[i] > '~' || p[i] == '\\' {
			return false
		}
	}
	return true
}
