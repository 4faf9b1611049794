package inventory

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

const maxKeys = 4 << 20 // bytes of one keyring

// readPins reads apt's preferences: the files of preferences.d, then preferences. Source: apt_preferences(5).
func readPins(root string) ([]wire.Pin, error) {
	names, err := confFiles(root, "etc/apt/preferences.d", ".pref", "")
	if err != nil {
		return nil, err
	}
	var all []wire.Pin
	for _, name := range append(names, "etc/apt/preferences") {
		b, err := readFile(root, name, maxConf)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		file := "/" + filetree.Quote(name)
		pins, ok := parsePins(b)
		if err != nil || !ok {
			all = append(all, wire.Pin{File: file, Pin: "unreadable"})
		}
		for _, p := range pins {
			p.File = file
			all = append(all, p)
		}
	}
	return most(all), nil
}

// parsePins reads stanzas of preferences, up to the first that is none.
func parsePins(b []byte) ([]wire.Pin, bool) {
	var all []wire.Pin
	for r := deb.NewReader(bytes.NewReader(withoutComments(b))); ; {
		s, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, true
		}
		if err != nil || len(all) > wire.MaxSettings {
			return all, false
		}
		packages := strings.Join(strings.Fields(s.Get("Package")), " ")
		priority, err := strconv.Atoi(s.Get("Pin-Priority"))
		if err != nil || packages == "" {
			return all, false
		}
		all = append(all, wire.Pin{Packages: text(packages), Pin: text(s.Get("Pin")), Priority: priority})
	}
}

// withoutComments leaves out lines that begin with #.
func withoutComments(b []byte) []byte {
	var kept bytes.Buffer
	for line := range bytes.Lines(b) {
		if line[0] != '#' {
			kept.Write(line)
		}
	}
	return kept.Bytes()
}

// trustedKeys gives the fingerprints of the keys that apt trusts: those every source may be signed by, and those that a
// source names.
func trustedKeys(root string, sources []wire.Source) []wire.Key {
	files := []string{"etc/apt/trusted.gpg"}
	for _, dir := range []string{"etc/apt/trusted.gpg.d", "etc/pki/rpm-gpg"} {
		entries, _ := readDir(root, dir) // none there, or none to be read: then none is told
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); ext == ".gpg" || ext == ".asc" || dir == "etc/pki/rpm-gpg" {
				files = append(files, dir+"/"+e.Name())
			}
		}
	}
	for _, s := range sources {
		for _, file := range strings.FieldsFunc(s.SignedBy, func(r rune) bool { return r == ',' || r == ' ' }) {
			if strings.HasPrefix(file, "/") {
				files = append(files, filepath.Clean(file)[1:])
			}
		}
	}
	slices.Sort(files)
	var all []wire.Key
	for _, name := range slices.Compact(files) {
		if len(all) >= wire.MaxSettings {
			break
		}
		b, err := readFile(root, name, maxKeys)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		file := "/" + filetree.Quote(name)
		var prints []string
		if err == nil {
			if ring, err := pgp.LoadKeyring(b); err == nil {
				prints = ring.Fingerprints()
			}
		}
		if len(prints) == 0 {
			all = append(all, wire.Key{File: file})
		}
		for _, p := range prints {
			all = append(all, wire.Key{File: file, Fingerprint: p})
		}
	}
	return all
}
