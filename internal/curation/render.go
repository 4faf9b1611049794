package curation

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pool"
)

// render gives the Packages index of a snapshot: upstream's own stanzas in the order of the record, with the path in our
// pool for upstream's.
func render(chosen []Chosen) []byte {
	var b bytes.Buffer
	for i, p := range chosen {
		if i > 0 {
			b.WriteByte('\n')
		}
		for line := range strings.Lines(p.Raw) {
			if name, _, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Filename") {
				line = "Filename: " + pool.File(p.IndexEntry) + "\n"
			}
			b.WriteString(line)
		}
	}
	return b.Bytes()
}

// arches gives the architectures for which a snapshot has an index, sorted. Packages for all architectures alone are
// served to the architectures most hosts have.
func arches(chosen []Chosen) []string {
	var all []string
	for _, p := range chosen {
		if p.Arch != "all" {
			all = append(all, p.Arch)
		}
	}
	if len(all) == 0 {
		return []string{"amd64", "arm64"}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func pack(plain []byte) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(plain); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// release gives the text of a suite's release file: the snapshot's index under each of its architectures, valid from now
// until then. Channels have a version. A snapshot's own suite (version 0) names the plain index alone: that is what is
// carried to hosts, and apt reading files insists on every form that is named.
func (w row) release(suite string, version int64, origin string, now, until time.Time) ([]byte, error) {
	for _, s := range []string{suite, origin} {
		if strings.ContainsAny(s, "\n\r\t") || strings.TrimSpace(s) != s || s == "" {
			return nil, fault.New(fault.Internal, "%q cannot stand in a release file", s)
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "Origin: %s\nLabel: Patchwarrant\nSuite: %s\nCodename: %s\n", origin, suite, suite)
	if version > 0 {
		fmt.Fprintf(&b, "Version: %d\n", version)
	}
	fmt.Fprintf(&b, "Date: %s\nValid-Until: %s\nAcquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\n", deb.FormatDate(now), deb.FormatDate(until))
	fmt.Fprintf(&b, "Architectures: %s\nComponents: main\nDescription: snapshot %s, curation record %s\nSHA256:\n", strings.Join(w.arches, " "), w.snapshot, w.record)
	for _, arch := range w.arches {
		fmt.Fprintf(&b, " %s %d main/binary-%s/Packages\n", w.index, w.indexSize, arch)
		if version > 0 {
			fmt.Fprintf(&b, " %s %d main/binary-%s/Packages.gz\n", w.packed, w.packedSize, arch)
		}
	}
	return b.Bytes(), nil
}
