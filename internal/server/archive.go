package server

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
	"github.com/patchwarrant/patchwarrant/internal/pool"
)

// archive makes an upstream speak for itself: the fixes that its packages' changelogs name are imported as a source, so
// that a site without any feed still learns of them.
type archive struct {
	intake *intake.Intake
	mirror *mirror.Mirror
	estate *estate.Estate
	pool   *pool.Pool
	now    func() time.Time

	upstream, release string // whose changelogs are read now: its name, and a codename

	read   string // what was read last: the archive and the package sets
	readAt time.Time
}

// readAgain is how often an archive is read though neither it nor the hosts changed, to keep the source's clock.
const readAgain = time.Hour

// Sweep reads the archive when it shows something new or a host has other packages.
func (a *archive) Sweep(ctx context.Context) error {
	all, err := a.mirror.List(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(u mirror.Upstream) bool { return u.Advisories != "" })
	if i < 0 {
		return nil
	}
	a.upstream, a.release = all[i].Name, all[i].Advisories
	state, err := a.mirror.State(ctx, a.upstream)
	if err != nil || state.Index == "" {
		return err // never refreshed; the source's clock runs
	}
	hosts, _, err := a.estate.HostSets(ctx, 0)
	if err != nil {
		return err
	}
	what := strings.Join(append(digests(hosts, a.release), a.upstream, state.InRelease), " ")
	if what == a.read && a.now().Sub(a.readAt) < readAgain {
		return nil
	}
	a.read, a.readAt = what, a.now()
	if err := a.receive(ctx); err != nil {
		return fmt.Errorf("read advisories from upstream %s: %w", a.upstream, err)
	}
	return nil
}

func (a *archive) receive(ctx context.Context) error {
	index, accepted, err := a.mirror.Index(ctx, a.upstream)
	if err != nil {
		return err
	}
	document, err := a.document(ctx, index)
	if err != nil {
		return err
	}
	_, err = a.intake.Import(ctx, "", debian.ArchiveSource, bytes.NewReader(document),
		"upstream "+a.upstream+", release file "+accepted.InRelease)
	return err
}

func (a *archive) document(ctx context.Context, index []deb.IndexEntry) ([]byte, error) {
	sources, err := a.sources(ctx)
	if err != nil {
		return nil, err
	}
	changelogs := map[string][]deb.ChangelogEntry{}
	for source, carriers := range newest(index, sources) {
		if changelogs[source], err = a.changelog(ctx, carriers); err != nil {
			return nil, fmt.Errorf("changelog of %s: %w", source, err)
		}
	}
	return debian.ReadArchive(a.release, index, changelogs).Encode()
}

// sources gives the source packages to read about: those installed on hosts of the release, and those stated about before,
// because what is known is not forgotten when a host leaves.
func (a *archive) sources(ctx context.Context) (map[string]bool, error) {
	all := map[string]bool{}
	installed, err := sets(ctx, a.estate, a.release)
	if err != nil {
		return nil, err
	}
	for _, set := range installed {
		for _, p := range set {
			all[p.Source] = true
		}
	}
	known, err := a.intake.Knowledge(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range known.Statements {
		if s.Source == debian.ArchiveSource {
			all[s.Package] = true
		}
	}
	return all, nil
}

// newest gives, for each of the sources, the packages of its newest version, the smallest first: any of them can carry the
// changelog.
func newest(index []deb.IndexEntry, sources map[string]bool) map[string][]deb.IndexEntry {
	found := map[string][]deb.IndexEntry{}
	for _, e := range index {
		if !sources[e.Source] {
			continue
		}
		order := 1
		if have := found[e.Source]; len(have) > 0 {
			order = deb.Compare(e.SourceVersion, have[0].SourceVersion)
		}
		switch {
		case order > 0:
			found[e.Source] = []deb.IndexEntry{e}
		case order == 0:
			found[e.Source] = append(found[e.Source], e)
		}
	}
	for _, packages := range found {
		slices.SortFunc(packages, func(a, b deb.IndexEntry) int { return cmp.Compare(a.Size, b.Size) })
	}
	return found
}

// maxCarriers is how many packages of a source are looked into for a changelog.
const maxCarriers = 4

// changelog reads the changelog out of the first package that has one.
func (a *archive) changelog(ctx context.Context, carriers []deb.IndexEntry) ([]deb.ChangelogEntry, error) {
	for _, e := range carriers[:min(len(carriers), maxCarriers)] {
		if err := a.mirror.Fetch(ctx, a.upstream, e); err != nil {
			return nil, err
		}
		r, err := a.pool.Open(ctx, e.SHA256)
		if err != nil {
			return nil, err
		}
		entries, err := deb.Changelog(r)
		if err = errors.Join(err, r.Close()); err != nil || len(entries) > 0 {
			return entries, err
		}
	}
	return nil, nil
}
