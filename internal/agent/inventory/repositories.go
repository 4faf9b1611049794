package inventory

import (
	"errors"
	"io/fs"

	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Where dnf writes down from which repository it installed each package. Rpm's own database does not say, and what rpm installs
// without dnf stands in neither.
const (
	dnf5State   = "usr/lib/sysimage/libdnf5/nevras.toml"
	dnf4History = "var/lib/dnf/history.sqlite"
	dnf4Log     = dnf4History + "-wal"
)

// rpmOrigins adds the repositories of rpm's packages, with the first address of each that is configured. What cannot be read says nothing:
// the origins are unknown.
func rpmOrigins(root string, set pkgset.Set, o *wire.Origins) error {
	place := make(map[string]int, len(set))
	for i, p := range set {
		place[rpm.ID(p.Name, p.Version, p.Arch)] = i
	}
	from, err := installedFrom(root, place)
	if err != nil || len(from) == 0 {
		return nil
	}
	configured, _, err := readRepositories(root)
	if err != nil {
		return err
	}
	address := map[string]string{}
	for _, s := range configured {
		if len(s.URIs) > 0 {
			address[s.Suites[0]] = s.URIs[0]
		}
	}
	index := map[string]int{}
	for i, p := range set {
		name, known := from[rpm.ID(p.Name, p.Version, p.Arch)]
		if !known {
			continue
		}
		repository := text(name)
		n, met := index[repository]
		if !met && len(o.Sources) == wire.MaxSources {
			continue
		}
		if !met {
			n = len(o.Sources)
			index[repository] = n
			o.Sources = append(o.Sources, wire.Origin{Repository: repository, Site: address[repository]})
		}
		o.Of[i] = append(o.Of[i], n)
	}
	return nil
}

// installedFrom gives the repository that dnf noted for each package, by rpm.ID.
func installedFrom(root string, wanted map[string]int) (map[string]string, error) {
	b, err := readFile(root, dnf5State, rpm.MaxHistory)
	if err == nil {
		return rpm.SystemState(b)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	file, err := open(root, dnf4History)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	history, ahead := rpm.File{ReaderAt: file, Size: info.Size()}, rpm.File{}
	if log, err := open(root, dnf4Log); err == nil {
		defer log.Close()
		if info, err := log.Stat(); err == nil && info.Mode().IsRegular() {
			ahead = rpm.File{ReaderAt: log, Size: info.Size()}
		}
	}
	return rpm.History(history, ahead, func(id string) bool {
		_, ok := wanted[id]
		return ok
	})
}

// noted are the files that rpmOrigins reads.
func noted(root string) []string {
	names := []string{dnf5State, dnf4History, dnf4Log}
	for _, dir := range repositoryDirs {
		more, _ := confFiles(root, dir, ".repo")
		names = append(names, more...)
	}
	return names
}
