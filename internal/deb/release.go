package deb

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Release is what an archive's Release (the text inside InRelease) says of one suite.
type Release struct {
	Suite, Codename string
	Version         string // as the archive writes it; of our own channels a number that grows
	Date            time.Time
	ValidUntil      time.Time // zero where the archive names none, as Debian's main archive does
	ByHash          bool      // files can be had by their digest (Acquire-By-Hash)
	Files           map[string]ReleaseFile
}

// ReleaseFile is one index that a Release vouches for, by its path below the suite's directory.
type ReleaseFile struct {
	Size   int64
	SHA256 string
}

// ParseRelease reads a Release file that was verified: exactly one stanza with Date and SHA256.
func ParseRelease(text []byte) (Release, error) {
	r := NewReader(bytes.NewReader(text))
	s, err := r.Next()
	if err != nil {
		return Release{}, fault.New(fault.Invalid, "release file: %w", err)
	}
	if _, err := r.Next(); err == nil {
		return Release{}, fault.New(fault.Invalid, "release file: more than one stanza")
	}
	release := Release{
		Suite: s.Get("Suite"), Codename: s.Get("Codename"), Version: s.Get("Version"),
		ByHash: s.Get("Acquire-By-Hash") == "yes", Files: map[string]ReleaseFile{},
	}
	if release.Date, err = parseDate(s.Get("Date")); err != nil {
		return Release{}, err
	}
	if until := s.Get("Valid-Until"); until != "" {
		if release.ValidUntil, err = parseDate(until); err != nil {
			return Release{}, err
		}
	}
	for line := range strings.Lines(s.Get("SHA256")) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) != 3 || !isHex(f[0], 64) || !validPath(f[2]) {
			return Release{}, fault.New(fault.Invalid, "release file: line %.200q is not \"digest size path\"", line)
		}
		size, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil || size < 0 {
			return Release{}, fault.New(fault.Invalid, "release file: line %.200q has no size", line)
		}
		release.Files[f[2]] = ReleaseFile{size, f[0]}
	}
	if len(release.Files) == 0 {
		return Release{}, fault.New(fault.Invalid, "release file: it names no files by SHA256")
	}
	return release, nil
}

// parseDate reads the dates of release files, which are in UTC: "Sat, 11 Jul 2026 09:30:00 UTC".
func parseDate(s string) (time.Time, error) {
	for _, zone := range []string{"UTC", "GMT", "+0000"} {
		if bare, ok := strings.CutSuffix(s, " "+zone); ok {
			if t, err := time.Parse("Mon, _2 Jan 2006 15:04:05", bare); err == nil {
				return t.UTC(), nil
			}
		}
	}
	return time.Time{}, fault.New(fault.Invalid, "release file: %.60q is no date in UTC", s)
}

// FormatDate writes a date as release files do.
func FormatDate(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC") }
