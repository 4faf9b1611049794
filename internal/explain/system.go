package explain

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"path"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

func ldconfigCause(s *scene) (string, bool) {
	for _, c := range s.contents {
		if slices.Contains(c.Triggers, "ldconfig") || c.Name == "libc-bin" {
			return c.Name, true
		}
	}
	return "", false
}

// ldCache: libraries that are new in the cache are files of this transaction.
func ldCache(s *scene, c filetree.Change) string {
	before, after, why := s.both(c.Path)
	if why != "" {
		return why
	}
	is, ok := ldEntries(after)
	was, okBefore := ldEntries(before)
	if !ok || !okBefore && c.Before != nil {
		return "is no cache of ldconfig"
	}
	for entry := range is {
		if was[entry] {
			continue
		}
		_, library, _ := strings.Cut(entry, "\x00")
		if want, ok := s.expected[canonical(filetree.Quote(library), s.wasAt)]; !ok || want.Gone {
			return "names a library that this transaction does not ship: " + filetree.Quote(library)
		}
	}
	return ""
}

// ldEntries reads the entries of ld.so.cache, "name NUL path". Format: glibc, elf/dl-cache.h: a header of 48 bytes, entries of
// 24 bytes (flags, offset of the name, offset of the path, …), strings by offset from the start.
func ldEntries(b []byte) (map[string]bool, bool) {
	const header, entry = 48, 24
	if len(b) < header || !bytes.HasPrefix(b, []byte("glibc-ld.so.cache1.1")) {
		return nil, false
	}
	order := binary.LittleEndian
	n := int(order.Uint32(b[20:]))
	if n > (len(b)-header)/entry {
		return nil, false
	}
	text := func(at uint32) (string, bool) {
		if int64(at) >= int64(len(b)) {
			return "", false
		}
		s, _, ok := bytes.Cut(b[at:], []byte{0})
		return string(s), ok
	}
	out := make(map[string]bool, n)
	for i := range n {
		e := b[header+i*entry:]
		name, ok := text(order.Uint32(e[4:]))
		library, ok2 := text(order.Uint32(e[8:]))
		if !ok || !ok2 {
			return nil, false
		}
		out[name+"\x00"+library] = true
	}
	return out, true
}

// ldAuxCache: ldconfig's own notes about inodes and times, used by no other program; content differs on each host.
func ldAuxCache(s *scene, c filetree.Change) string {
	if !bytes.HasPrefix(s.head(c.Path), []byte("glibc-ld.so.auxcache-")) {
		return "is no auxiliary cache of ldconfig"
	}
	return ""
}

// journal: systemd's binary log, by its header: signature, and at byte 40 the ID of this machine, for which the directory is
// named. Source: systemd, journal-file format.
func journal(s *scene, c filetree.Change) string {
	head := s.head(c.Path)
	machine := path.Base(path.Dir(c.Path))
	own, _ := s.told("/etc/machine-id")
	switch {
	case len(head) < 56 || !bytes.HasPrefix(head, []byte("LPKSHHRH")):
		return "is no journal"
	case hex.EncodeToString(head[40:56]) != machine || strings.TrimSpace(string(own)) != machine:
		return "is another machine's journal"
	}
	return ""
}

// loginRecords: utmp(5) records of 384 bytes; such a log only grows.
func loginRecords(_ *scene, c filetree.Change) string {
	if c.After.Size%384 != 0 || c.Before != nil && c.After.Size < c.Before.Size {
		return "is no list of login records that has grown"
	}
	return ""
}

func randomSeed(_ *scene, c filetree.Change) string {
	if c.After.Mode != 0o600 || c.After.Size > 512 {
		return "is no random seed"
	}
	return ""
}
