package rpm

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// MaxQuery bounds rpm's answer, in bytes: some 200,000 packages.
const MaxQuery = 64 << 20

// Between fields and at the end of a package: bytes that no text of a package holds by accident, as tabs and line ends may.
const (
	unit   = "\x1f"
	record = "\x1e"
)

// queryFormat asks for what Installed holds. Old packages are signed whole, newer ones in their header.
const queryFormat = "%{NAME}" + unit + "%{EPOCHNUM}:%{VERSION}-%{RELEASE}" + unit + "%{ARCH}" + unit + "%{SOURCERPM}" + unit +
	"%{MODULARITYLABEL}" + unit + "%{VENDOR}" + unit + "%{RSAHEADER:pgpsig}" + unit + "%{DSAHEADER:pgpsig}" + unit +
	"%{SIGPGP:pgpsig}" + unit + "%{SIGGPG:pgpsig}" + record

// Arguments are what rpm is started with to list the packages of the database in a directory. --dbpath needs no chroot, so no
// root either.
func Arguments(database string) []string {
	return []string{"--dbpath", database, "-qa", "--nosignature", "--nodigest", "--queryformat", queryFormat}
}

// Installed is one package in rpm's database.
type Installed struct {
	Name, Arch    string
	Version       string // epoch:version-release; without "0:"
	Source        string
	SourceVersion string // version-release; the name of a source package holds no epoch
	Module        string // name:stream:version:context, empty for a package of no module
	Vendor        string
	Key           string // ID of the key that signed it, lower hex; empty: not signed
}

// PublicKey is the name under which rpm keeps a trusted key among its packages; its version is the key's ID.
const PublicKey = "gpg-pubkey"

// ParseQuery reads rpm's answer to Arguments. Anything else is an error of kind fault.Invalid.
func ParseQuery(b []byte) ([]Installed, error) {
	if len(b) > MaxQuery {
		return nil, fault.New(fault.Invalid, "rpm answers with more than %d bytes", MaxQuery)
	}
	var all []Installed
	for len(b) > 0 {
		line, rest, found := bytes.Cut(b, []byte(record))
		if !found {
			return nil, fault.New(fault.Invalid, "rpm's answer ends within a package")
		}
		p, err := parseRecord(string(line))
		if err != nil {
			return nil, err
		}
		all, b = append(all, p), rest
	}
	return all, nil
}

func parseRecord(line string) (Installed, error) {
	f := strings.Split(line, unit)
	if len(f) != 10 {
		return Installed{}, fault.New(fault.Invalid, "rpm's answer %.200q does not have its ten fields", line)
	}
	for i := range f {
		if f[i] == "(none)" {
			f[i] = ""
		}
	}
	p := Installed{Name: f[0], Version: strings.TrimPrefix(f[1], "0:"), Arch: f[2], Module: f[4], Vendor: clean(f[5])}
	if p.Arch == "" && p.Name == PublicKey {
		p.Arch = "noarch"
	}
	if !ValidName(p.Name) || !ValidName(p.Arch) || p.Module != "" && !ValidName(p.Module) {
		return Installed{}, fault.New(fault.Invalid, "rpm's answer %.200q has no proper name, architecture or module", line)
	}
	if err := ValidVersion(p.Version); err != nil {
		return Installed{}, err
	}
	p.Source, p.SourceVersion = p.Name, p.Version
	if f[3] != "" {
		var err error
		if p.Source, p.SourceVersion, err = ParseSource(f[3]); err != nil {
			return Installed{}, err
		}
	}
	for _, signature := range f[6:] {
		if _, id, found := strings.Cut(signature, "Key ID "); found && p.Key == "" {
			p.Key = strings.ToLower(strings.TrimSpace(id))
		}
	}
	if p.Key != "" && (len(p.Key) > 40 || strings.Trim(p.Key, "0123456789abcdef") != "") {
		return Installed{}, fault.New(fault.Invalid, "rpm's answer %.200q has no proper key ID", line)
	}
	return p, nil
}

// ParseSource reads the file name of a source package: name-version-release.src.rpm.
func ParseSource(file string) (name, version string, err error) {
	stem, found := strings.CutSuffix(file, ".src.rpm")
	if !found {
		stem, found = strings.CutSuffix(file, ".nosrc.rpm")
	}
	release := strings.LastIndexByte(stem, '-')
	if !found || release < 1 {
		return "", "", fault.New(fault.Invalid, "%.200q is no name of a source package", file)
	}
	v := strings.LastIndexByte(stem[:release], '-')
	if v < 1 || !ValidName(stem[:v]) || strings.Contains(stem[v+1:], ":") {
		return "", "", fault.New(fault.Invalid, "%.200q is no name of a source package", file)
	}
	return stem[:v], stem[v+1:], ValidVersion(stem[v+1:])
}

// clean makes a text of one line, of at most 200 bytes of printable ASCII.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 200)]
}

// places are where a root keeps rpm's database, and the file that each of rpm's ways to store one has.
var (
	places = []string{"usr/lib/sysimage/rpm", "var/lib/rpm"}
	files  = []string{"rpmdb.sqlite", "Packages.db", "Packages"}
)

// Database gives the directory of the database of the tree at root; empty where there is none.
func Database(root string) (string, error) {
	for _, place := range places {
		dir := filepath.Join(root, place)
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return "", err
		}
		if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return slices.Contains(files, e.Name()) }) {
			return dir, nil
		}
	}
	return "", nil
}
