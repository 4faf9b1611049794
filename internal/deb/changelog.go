package deb

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// maxChangelog bounds an unpacked changelog, in bytes. The kernel's has about 4 MB.
const maxChangelog = 64 << 20

// ChangelogEntry is one upload as debian/changelog tells it. CVEs are the names it holds, sorted, each once.
type ChangelogEntry struct {
	Source  string
	Version string
	CVEs    []string
}

var (
	changelogHead = regexp.MustCompile(`^([a-z0-9][a-z0-9+.-]+) \(([^()\s]+)\) `)
	cveName       = regexp.MustCompile(`\bCVE-[0-9]{4}-[0-9]{4,7}\b`)
)

// Changelog gives the entries of the Debian changelog inside a .deb, newest first, and none when it has no changelog of its
// own (its documentation directory may be a link to another package's).
func Changelog(r io.Reader) ([]ChangelogEntry, error) {
	var all []ChangelogEntry
	var name string
	err := walk(io.LimitReader(r, MaxPackage), func(member string, contents *tar.Reader) error {
		if member == "control.tar" {
			p := &Package{}
			err := p.readControl(contents)
			name = p.Name
			return err
		}
		return members(contents, func(h *tar.Header, path string) error {
			doc := "/usr/share/doc/" + name + "/changelog"
			if h.Typeflag != tar.TypeReg || path != doc+".Debian.gz" && path != doc+".gz" {
				return nil
			}
			var found []ChangelogEntry
			err := Unpack(".gz", contents, func(plain io.Reader) (err error) {
				found, err = ParseChangelog(plain)
				return err
			})
			if err == nil && (path == doc+".Debian.gz" || all == nil) {
				all = found // the upstream changelog of a package that has both is no Debian changelog
			}
			if err == nil && path == doc+".Debian.gz" {
				return errEnough
			}
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read changelog of .deb: %w", err)
	}
	return all, nil
}

// ParseChangelog reads debian/changelog (deb-changelog(5)). Lines before the first entry and lines it does not know are
// passed over: old entries are written freely.
func ParseChangelog(r io.Reader) ([]ChangelogEntry, error) {
	limited := &io.LimitedReader{R: r, N: maxChangelog + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(nil, 1<<20)
	var all []ChangelogEntry
	for lines.Scan() {
		line := lines.Text()
		if m := changelogHead.FindStringSubmatch(line); m != nil && ValidVersion(m[2]) == nil {
			all = append(all, ChangelogEntry{Source: m[1], Version: m[2]})
			continue
		}
		if len(all) == 0 || !strings.HasPrefix(line, " ") {
			continue
		}
		last := &all[len(all)-1]
		last.CVEs = append(last.CVEs, cveName.FindAllString(line, -1)...)
	}
	if limited.N == 0 || errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, fault.New(fault.Invalid, "the changelog is larger than %d bytes or has a line over 1 MiB", maxChangelog)
	} else if lines.Err() != nil {
		return nil, lines.Err()
	}
	for i := range all {
		slices.Sort(all[i].CVEs)
		all[i].CVEs = slices.Compact(all[i].CVEs)
	}
	return all, nil
}
