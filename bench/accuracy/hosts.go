package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// sight is what a report saw: its Debian 12 hosts, and the versions of packages on them.
type sight struct {
	hosts    map[string]bool
	versions map[string]map[string]string
	systems  map[string]bool // that it names
}

// other says what a report without a Debian 12 host is about.
func (s *sight) other(read scanner.Report) string {
	switch systems := slices.Sorted(maps.Keys(s.systems)); {
	case read.Read == 0:
		return "holds no finding"
	case read.Accepted == 0:
		return fmt.Sprintf("its %d records are set aside: %s", read.Read, strings.Join(slices.Sorted(maps.Keys(read.Refused)), "; "))
	case len(systems) == 0:
		return fmt.Sprintf("does not say what system its %d findings are on", read.Accepted)
	default:
		return "is about " + strings.Join(systems[:min(3, len(systems))], ", ")
	}
}

func (s *sight) Host(h scanner.Host) error {
	if h.CPE != "" {
		s.systems[intake.Clip(h.CPE, 80)] = true
	}
	if strings.Contains(h.CPE, "debian_linux:12") || strings.HasPrefix(h.CPE, "debian 12") {
		s.hosts[h.Name] = true
	}
	return nil
}

func (s *sight) Row(r scanner.Row) error {
	if s.versions[r.Host] == nil {
		s.versions[r.Host] = map[string]string{}
	}
	for _, p := range r.Packages {
		s.versions[r.Host][p.Name] = p.Version
	}
	return nil
}

// estateOf is the hosts of one report.
type estateOf struct {
	base    pkgset.Set
	sets    map[string]pkgset.Set
	hosts   map[string]string // package set by name, which is the ID too
	changes int64
}

// take makes an inventory for every host that was seen: the packages that the report names in its versions, and what the
// base has of the same sources. What else the scanned host had nobody knows. A binary package's version is its source's,
// but where the base has them apart.
func (e *estateOf) take(seen *sight) {
	clear(e.hosts)
	for name := range seen.hosts {
		versions := map[string]string{} // of source packages; empty where the base has them apart
		for _, p := range e.base {
			if v, told := seen.versions[name][p.Name]; told {
				versions[p.Source] = v
				if p.Version != p.SourceVersion {
					versions[p.Source] = ""
				}
			}
		}
		var set pkgset.Set
		for _, p := range e.base {
			v, told := versions[p.Source]
			if !told {
				continue
			}
			if v != "" && p.Version == p.SourceVersion {
				p.Version, p.SourceVersion = v, v
			}
			set = append(set, p)
		}
		digest := set.Digest()
		e.sets[digest], e.hosts[name] = set, digest
	}
	e.changes++
}

func (e *estateOf) Known(context.Context) (map[string][]string, error) {
	all := map[string][]string{}
	for name := range e.hosts {
		all[name] = []string{strings.ToLower(name)}
	}
	return all, nil
}

func (e *estateOf) Host(_ context.Context, id string) (estate.Host, error) {
	return estate.Host{ID: id, PackageSet: e.hosts[id]}, nil
}

func (e *estateOf) HostSets(_ context.Context, since int64) ([]estate.HostSet, int64, error) {
	var all []estate.HostSet
	if since < e.changes {
		for name, digest := range e.hosts {
			all = append(all, estate.HostSet{HostID: name, Release: release, Environment: "production", SetDigest: digest})
		}
	}
	return all, e.changes, nil
}

func (e *estateOf) PackageSet(_ context.Context, digest string) (pkgset.Set, error) {
	return e.sets[digest], nil
}

func (e *estateOf) Coverage(context.Context, time.Time) (estate.Coverage, error) {
	return estate.Coverage{}, nil
}

// forget is a ledger that keeps nothing: figures are no acts.
type forget struct{}

func (forget) Append(context.Context, *db.Tx, proof.Act) (int64, error) { return 0, nil }
