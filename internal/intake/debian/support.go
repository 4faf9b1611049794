package debian

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// MaxSupport bounds a file of support data, in bytes.
const MaxSupport = 4 << 20

// Codenames by version, for the names of files. Source: distro-info-data.
var codenames = map[string]string{"7": "wheezy", "8": "jessie", "9": "stretch", "10": "buster", "11": "bullseye", "12": "bookworm", "13": "trixie",
	"14": "forky", "15": "duke"}

var supportFile = regexp.MustCompile(`^(?:(debian|ubuntu)\.csv|security-support-(?:ended\.deb([0-9]{1,2})|limited))$`)

// supported matches a package, or a pattern of packages.
var supported = regexp.MustCompile(`^[a-z0-9][a-z0-9+.*-]{0,99}$`)

// IsSupport reports whether a file is one of distro-info-data (debian.csv, ubuntu.csv) or debian-security-support
// (security-support-ended.debN, security-support-limited).
func IsSupport(p string) bool { return supportFile.MatchString(path.Base(p)) }

// Support reads such a file, which its name tells. A line of another form is fault.Invalid.
func Support(p string, r io.Reader) (intake.Reading, error) {
	m := supportFile.FindStringSubmatch(path.Base(p))
	switch {
	case m == nil:
		return intake.Reading{}, fault.New(fault.Invalid, "support data: %q is no file of distro-info-data or debian-security-support", intake.Clip(p, 80))
	case m[1] != "":
		return releases(m[1], r)
	case m[2] != "" && codenames[m[2]] == "":
		return intake.Reading{}, fault.New(fault.Invalid, "support data: no release of Debian %s is known", m[2])
	}
	return packages(codenames[m[2]], r)
}

// spans are the columns that end a kind of support. A server's regular support ended later than a desktop's once.
var spans = map[string]string{"eol": "regular", "eol-server": "regular", "eol-lts": "lts", "eol-elts": "elts", "eol-esm": "esm", "eol-legacy": "legacy"}

func releases(distribution string, r io.Reader) (intake.Reading, error) {
	in := csv.NewReader(io.LimitReader(r, MaxSupport))
	in.FieldsPerRecord = -1
	head, err := in.Read()
	if err != nil || len(head) < 6 || head[2] != "series" {
		return intake.Reading{}, fault.New(fault.Invalid, "support data: %s.csv does not begin with version,codename,series,…", distribution)
	}
	var reading intake.Reading
	for number := 2; ; number++ {
		row, err := in.Read()
		if errors.Is(err, io.EOF) && number > 2 {
			return reading, nil
		}
		if err != nil || len(row) < 4 || len(row) > len(head) || !validRelease(row[2]) {
			return intake.Reading{}, fault.New(fault.Invalid, "support data: %s.csv: line %d is no release", distribution, number)
		}
		until := map[string]time.Time{}
		for i, column := range head[:len(row)] {
			if kind := spans[column]; kind != "" && row[i] != "" {
				day, err := time.Parse(time.DateOnly, row[i])
				if err != nil {
					return intake.Reading{}, fault.New(fault.Invalid, "support data: %s.csv: line %d: %s is no date", distribution, number, column)
				}
				if day.After(until[kind]) {
					until[kind] = day
				}
			}
		}
		for _, kind := range []string{"regular", "lts", "elts", "esm", "legacy"} {
			if day, ok := until[kind]; ok {
				reading.Support = append(reading.Support, intake.Support{Release: row[2], Kind: kind, Until: day.AddDate(0, 0, 1)})
			}
		}
	}
}

// packages reads debian-security-support: "package last-version date note" of what ended in a release, "package note" of what
// is limited in all of them. Packages are patterns of regular expressions; those in use end in ".*" at most.
func packages(release string, r io.Reader) (intake.Reading, error) {
	var reading intake.Reading
	lines := bufio.NewScanner(io.LimitReader(r, MaxSupport))
	number := 0
	for lines.Scan() {
		number++
		line, fields := strings.TrimSpace(lines.Text()), strings.Fields(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		s := intake.Support{Release: release, Package: strings.ReplaceAll(fields[0], ".*", "*"), Kind: "limited"}
		words := 1
		if release != "" {
			if s.Kind, words = "ended", 3; len(fields) < words {
				return reading, fault.New(fault.Invalid, "support data: line %d is not package, version, date", number)
			}
			day, err := time.Parse(time.DateOnly, fields[2])
			if err != nil {
				return reading, fault.New(fault.Invalid, "support data: line %d: %q is no date", number, intake.Clip(fields[2], 80))
			}
			s.Version, s.Until = fields[1], day
		}
		if !supported.MatchString(s.Package) {
			return reading, fault.New(fault.Invalid, "support data: line %d names no package", number)
		}
		s.Note = intake.Clip(strings.Join(fields[words:], " "), 80)
		reading.Support = append(reading.Support, s)
	}
	if err := lines.Err(); err != nil {
		return intake.Reading{}, fault.New(fault.Invalid, "support data: damaged after line %d: %w", number, err)
	}
	if number == 0 { // no package at all is right for a new release, whose file has comments only
		return intake.Reading{}, fault.New(fault.Invalid, "support data: the file is empty")
	}
	return reading, nil
}
