package deb

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Bounds of what a .deb may unpack to. Debian's largest package unpacks to about 5 GB; compressing real files seldom
// reaches 1:50, while an archive made to exhaust a reader reaches 1:1,000 with gzip and far more with xz.
const (
	maxUnpacked = 16 << 30
	maxRatio    = 1000
	ratioFree   = 64 << 20 // the ratio counts above this many unpacked bytes
	maxMembers  = 2_000_000
)

// errEnough ends a walk early.
var errEnough = errors.New("enough")

// walk reads a .deb (deb(5)) and calls visit for control.tar and then data.tar, both unpacked. It accepts what dpkg
// does: the members debian-binary 2.x, control.tar, data.tar in this order, compressed with gzip, xz, zstd or not at
// all; further members whose name begins with "_" are skipped. When visit gives errEnough, walk ends with nil.
func walk(r io.Reader, visit func(member string, contents *tar.Reader) error) error {
	var magic [8]byte
	if _, err := io.ReadFull(r, magic[:]); err != nil || string(magic[:]) != "!<arch>\n" {
		return fault.New(fault.Invalid, "not a Debian package: no ar archive")
	}
	expected := []string{"debian-binary", "control.tar", "data.tar"}
	for len(expected) > 0 {
		name, size, err := memberHeader(r)
		if err != nil {
			return err
		}
		body := &io.LimitedReader{R: r, N: size}
		base, ext := name, ""
		if stem, suffix, ok := strings.Cut(name, ".tar"); ok {
			base, ext = stem+".tar", suffix
		}
		switch {
		case strings.HasPrefix(name, "_"):
		case base != expected[0]:
			return fault.New(fault.Invalid, "not a Debian package: member %.20q where %s belongs", name, expected[0])
		case base == "debian-binary":
			err = formatVersion(body)
			expected = expected[1:]
		default:
			err = Unpack(ext, body, func(plain io.Reader) error {
				return visit(base, tar.NewReader(&ratioReader{r: plain, packed: body, size: size}))
			})
			expected = expected[1:]
		}
		if errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return fmt.Errorf("member %s: %w", name, err)
		}
		if err := skip(body, size%2); err != nil {
			return fmt.Errorf("member %s: %w", name, err)
		}
	}
	return nil
}

// memberHeader reads the 60 bytes before an ar member.
func memberHeader(r io.Reader) (name string, size int64, err error) {
	var h [60]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return "", 0, fault.New(fault.Invalid, "the package ends before all its members: %w", err)
	}
	name = strings.TrimSuffix(strings.TrimRight(string(h[:16]), " "), "/")
	size, err = strconv.ParseInt(strings.TrimRight(string(h[48:58]), " "), 10, 64)
	if err != nil || size < 0 || size > MaxPackage || h[58] != '`' || h[59] != '\n' {
		return "", 0, fault.New(fault.Invalid, "damaged header of an ar member")
	}
	return name, size, nil
}

func formatVersion(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, 64))
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(b, []byte("2.")) {
		return fault.New(fault.Invalid, "package format %.10q is not 2.x", b)
	}
	return nil
}

// skip reads the rest of a member and its padding byte.
func skip(body *io.LimitedReader, padding int64) error {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return err
	}
	if body.N > 0 {
		return fault.New(fault.Invalid, "cut off: %d bytes are missing", body.N)
	}
	if padding > 0 { // the last member's padding may be absent
		var pad [1]byte
		if _, err := io.ReadFull(body.R, pad[:]); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	return nil
}

// ratioReader counts unpacked bytes and stops an archive that unpacks out of all proportion.
type ratioReader struct {
	r        io.Reader
	packed   *io.LimitedReader
	size     int64 // of packed at the start
	unpacked int64
}

func (l *ratioReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.unpacked += int64(n)
	used := l.size - l.packed.N
	if l.unpacked > maxUnpacked || l.unpacked-ratioFree > maxRatio*used {
		return 0, fault.New(fault.Invalid, "unpacks to more than %d bytes or %d times its size", int64(maxUnpacked), maxRatio)
	}
	return n, err
}
