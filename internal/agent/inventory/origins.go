package inventory

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/pierrec/lz4/v4"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Origins looks for each package of a set in apt's lists under root, by name, architecture and exact version. A package that
// no list holds has none: it is local, or its source is gone or has moved on. Of rpm's packages they are what dnf noted when it installed them.
func Origins(root string, set pkgset.Set) (wire.Origins, error) {
	o := wire.Origins{PackageSet: set.Digest(), Sources: []wire.Origin{}, Of: make([][]int, len(set))}
	for i := range o.Of {
		o.Of[i] = []int{}
	}
	if len(set) > 0 && set[0].RPM != nil {
		err := rpmOrigins(root, set, &o)
		return o, err
	}
	entries, err := readDir(root, lists)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	} else if err != nil {
		return o, err
	}
	where := make(map[[3]string]int, len(set))
	for i, p := range set {
		where[[3]string{p.Name, p.Arch, p.Version}] = i
	}
	for _, e := range entries {
		stem, packed, found := strings.Cut(e.Name(), "_Packages")
		if !found || !e.Type().IsRegular() || len(where) == 0 || len(o.Sources) == wire.MaxSources {
			continue
		}
		held, err := search(root, e.Name(), packed, where)
		if err != nil {
			continue // of an index that cannot be read nothing is said; its source stands in the inventory all the same
		}
		if len(held) == 0 {
			continue
		}
		for _, i := range held {
			o.Of[i] = append(o.Of[i], len(o.Sources))
		}
		o.Sources = append(o.Sources, originOf(root, stem))
	}
	return o, nil
}

const lists = "var/lib/apt/lists"

// search gives the places of the packages that an index holds, each once.
func search(root, name, packed string, where map[[3]string]int) ([]int, error) {
	f, err := open(root, lists+"/"+name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var held []int
	read := func(plain io.Reader) error {
		limited := &io.LimitedReader{R: plain, N: deb.MaxIndex}
		for r := deb.NewReader(limited); ; {
			s, err := r.Next()
			if errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if i, ok := where[[3]string{s.Get("Package"), s.Get("Architecture"), s.Get("Version")}]; ok && !slices.Contains(held, i) {
				held = append(held, i)
			}
		}
	}
	if packed == ".lz4" { // what apt chooses where it keeps its lists packed
		err = read(lz4.NewReader(f))
	} else {
		err = deb.Unpack(packed, f, read)
	}
	return held, err
}

// originOf reads the release file that belongs to an index: the one whose name is the longest beginning of the index's.
func originOf(root, stem string) wire.Origin {
	site, component := stem, ""
	if i := strings.LastIndex(stem, "_binary-"); i > 0 {
		site = stem[:i]
		if j := strings.LastIndexByte(site, '_'); j > 0 {
			site, component = site[:j], site[j+1:]
		}
	}
	o := wire.Origin{Site: text(strings.ReplaceAll(site, "_", "/")), Component: text(component)}
	for _, name := range []string{"_InRelease", "_Release"} {
		f, err := open(root, lists+"/"+site+name)
		if err != nil {
			continue
		}
		release, err := releaseHead(f)
		f.Close()
		if err == nil {
			o.Origin, o.Label, o.Suite, o.Codename = release["origin"], release["label"], release["suite"], release["codename"]
			break
		}
	}
	return o
}

// releaseHead reads the plain fields of a release file, clear-signed or not; apt has verified it.
func releaseHead(r io.Reader) (map[string]string, error) {
	b, err := io.ReadAll(io.LimitReader(r, 16<<10)) // they stand before the long list of files
	if err != nil {
		return nil, fmt.Errorf("read release file: %w", err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, found := strings.Cut(line, ":")
		if _, known := fields[strings.ToLower(name)]; found && !known && name == strings.TrimSpace(name) {
			fields[strings.ToLower(name)] = text(strings.TrimSpace(value))
		}
	}
	return fields, nil
}

// ListsState changes whenever apt's lists under root do, or what dnf notes: while it is the same, Origins need not look again.
func ListsState(root string) string {
	var b strings.Builder
	for _, name := range noted(root) {
		if info, err := stat(root, name); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", filetree.Quote(name), info.Size(), info.ModTime().UnixNano())
		}
	}
	entries, _ := readDir(root, lists) // none where there are none
	for _, e := range entries {
		if info, err := e.Info(); err == nil && !info.IsDir() {
			fmt.Fprintf(&b, "%s %d %d\n", filetree.Quote(e.Name()), info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}
