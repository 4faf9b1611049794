package deb

import (
	"archive/tar"
	"crypto/md5" // dpkg's own digest of conffiles, not for security
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const (
	maxControlMember = 16 << 20 // bytes of one file in control.tar
	maxNames         = 512 << 20
)

// Package is the content list of one .deb: what dpkg will put on a host.
type Package struct {
	SHA256    string // of the whole .deb
	Size      int64
	Control   Stanza
	Name      string
	Arch      string
	Version   string
	Info      []InfoFile // members of control.tar: what dpkg keeps in /var/lib/dpkg/info
	Conffiles []string   // absolute paths
	Files     []File     // data.tar, in its order
}

// InfoFile is a member of control.tar, such as "control", "postinst", "triggers", "md5sums".
type InfoFile struct {
	Name    string
	Mode    uint32
	SHA256  string
	Content []byte
}

// File is one member of data.tar. Path is absolute ("/" for the root itself).
type File struct {
	Path         string
	Type         byte   // 'f', 'd', 'l' (symbolic link), 'c', 'b', 'p'
	Mode         uint32 // permission bits with setuid, setgid and sticky: 0o7777
	User, Group  string
	UID, GID     int
	Size         int64
	ModTime      time.Time // whole seconds
	SHA256       string    // 'f' only
	MD5          string    // conffiles only
	Target       string    // 'l' only, as written
	HardLink     string    // 'f' only: the earlier path with the same inode; Size and SHA256 are that file's
	Major, Minor int64     // 'c' and 'b' only
}

// InfoContent gives a control member's content by name, nil when the package has none.
func (p *Package) InfoContent(name string) []byte {
	for _, f := range p.Info {
		if f.Name == name {
			return f.Content
		}
	}
	return nil
}

// Read reads a whole .deb and gives its content list. It runs nothing and keeps no file's contents but those of
// control.tar. Anything dpkg would not take as it stands is an error of kind fault.Invalid.
func Read(r io.Reader) (*Package, error) {
	whole := sha256.New()
	counted := &countingReader{r: io.TeeReader(io.LimitReader(r, MaxPackage), whole)}
	p := &Package{}
	err := walk(counted, func(member string, contents *tar.Reader) error {
		if member == "control.tar" {
			return p.readControl(contents)
		}
		return p.readData(contents)
	})
	if err == nil {
		_, err = io.Copy(io.Discard, counted)
	}
	if err != nil {
		return nil, fmt.Errorf("read .deb: %w", err)
	}
	p.SHA256, p.Size = hex.EncodeToString(whole.Sum(nil)), counted.n
	return p, nil
}

// ReadControl reads only as far as the control file: name, version, architecture, control members and conffiles, without
// Files, SHA256 and Size.
func ReadControl(r io.Reader) (*Package, error) {
	p := &Package{}
	err := walk(io.LimitReader(r, MaxPackage), func(member string, contents *tar.Reader) error {
		if member == "control.tar" {
			return p.readControl(contents)
		}
		return errEnough
	})
	if err != nil {
		return nil, fmt.Errorf("read .deb: %w", err)
	}
	return p, nil
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// members calls visit for each member of a tar archive, with its cleaned absolute path.
func members(tr *tar.Reader, visit func(h *tar.Header, path string) error) error {
	names := 0
	for n := 0; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if fault.KindOf(err) == fault.Invalid {
			return err
		} else if err != nil {
			return fault.New(fault.Invalid, "damaged tar archive: %w", err)
		}
		if names += len(h.Name) + len(h.Linkname); n >= maxMembers || names > maxNames {
			return fault.New(fault.Invalid, "more than %d members or %d bytes of names", maxMembers, maxNames)
		}
		if len(h.PAXRecords) > 0 { // dpkg knows v7, ustar and GNU archives only
			return fault.New(fault.Invalid, "member %.200q has a PAX header, which dpkg does not read", h.Name)
		}
		path, err := absolute(h.Name)
		if err != nil {
			return err
		}
		if err := visit(h, path); err != nil {
			return err
		}
	}
}

// absolute gives "/usr/bin/x" for "./usr/bin/x", "usr/bin/x" and "./usr/bin/x/". Names that climb or that hold empty or
// "." parts or line ends (which dpkg's lists cannot hold) are refused.
func absolute(name string) (string, error) {
	rest := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name, "./"), "/"), "/")
	if name != "" && (rest == "" || rest == ".") {
		return "/", nil
	}
	for part := range strings.SplitSeq(rest, "/") {
		if part == "" || part == "." || part == ".." {
			return "", fault.New(fault.Invalid, "member %.200q of the archive is no plain path", name)
		}
	}
	if strings.ContainsAny(rest, "\n\x00") {
		return "", fault.New(fault.Invalid, "member %.200q of the archive has a line end or NUL byte in its name", name)
	}
	return "/" + rest, nil
}

func (p *Package) readControl(tr *tar.Reader) error {
	err := members(tr, func(h *tar.Header, path string) error {
		if h.Typeflag == tar.TypeDir {
			return nil
		}
		if h.Typeflag != tar.TypeReg || strings.Count(path, "/") != 1 || h.Size > maxControlMember {
			return fault.New(fault.Invalid, "control member %.200q is no plain file of at most %d bytes", h.Name, maxControlMember)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			return fault.New(fault.Invalid, "control member %.200q: %w", h.Name, err)
		}
		if p.InfoContent(path[1:]) != nil {
			return fault.New(fault.Invalid, "control member %.200q appears twice", h.Name)
		}
		sum := sha256.Sum256(content)
		p.Info = append(p.Info, InfoFile{path[1:], uint32(h.Mode) & 0o7777, hex.EncodeToString(sum[:]), content})
		return nil
	})
	if err != nil {
		return err
	}
	return p.readNames()
}

// readNames takes the package's identity and conffiles from the control members.
func (p *Package) readNames() error {
	var err error
	if p.Control, err = NewReader(strings.NewReader(string(p.InfoContent("control")))).Next(); err != nil {
		return fault.New(fault.Invalid, "no readable control file: %w", err)
	}
	p.Name, p.Arch, p.Version = p.Control.Get("Package"), p.Control.Get("Architecture"), p.Control.Get("Version")
	if !ValidName(p.Name) || !ValidArch(p.Arch) || ValidVersion(p.Version) != nil {
		return fault.New(fault.Invalid, "control file without proper package name, architecture and version")
	}
	for line := range strings.Lines(string(p.InfoContent("conffiles"))) {
		line = strings.TrimSpace(line)
		line = strings.TrimPrefix(line, "remove-on-upgrade ") // deb-conffiles(5): a flag before the path
		if line == "" {
			continue
		}
		if line[0] != '/' {
			return fault.New(fault.Invalid, "conffile %.200q is no absolute path", line)
		}
		p.Conffiles = append(p.Conffiles, line)
	}
	return nil
}

func (p *Package) readData(tr *tar.Reader) error {
	conffiles := make(map[string]bool, len(p.Conffiles))
	for _, path := range p.Conffiles {
		conffiles[path] = true
	}
	byPath := map[string]int{}
	buffer := make([]byte, 128<<10)
	return members(tr, func(h *tar.Header, path string) error {
		f := File{Path: path, Mode: uint32(h.Mode) & 0o7777, User: h.Uname, Group: h.Gname, UID: h.Uid, GID: h.Gid,
			ModTime: h.ModTime.UTC().Truncate(time.Second)}
		switch h.Typeflag {
		case tar.TypeReg:
			f.Type, f.Size = 'f', h.Size
			if err := f.hash(tr, conffiles[path], buffer); err != nil {
				return err
			}
		case tar.TypeLink:
			target, err := absolute(h.Linkname)
			if err != nil {
				return err
			}
			i, ok := byPath[target]
			if !ok || p.Files[i].Type != 'f' {
				return fault.New(fault.Invalid, "member %.200q is a hard link to no earlier file", h.Name)
			}
			f.Type, f.HardLink, f.Size, f.SHA256, f.MD5 = 'f', target, p.Files[i].Size, p.Files[i].SHA256, p.Files[i].MD5
		case tar.TypeSymlink:
			f.Type, f.Target = 'l', h.Linkname
		case tar.TypeDir:
			f.Type = 'd'
		case tar.TypeChar:
			f.Type, f.Major, f.Minor = 'c', h.Devmajor, h.Devminor
		case tar.TypeBlock:
			f.Type, f.Major, f.Minor = 'b', h.Devmajor, h.Devminor
		case tar.TypeFifo:
			f.Type = 'p'
		default:
			return fault.New(fault.Invalid, "member %.200q is of a type (%q) that dpkg does not unpack", h.Name, h.Typeflag)
		}
		if _, twice := byPath[path]; twice {
			return fault.New(fault.Invalid, "member %.200q appears twice", h.Name)
		}
		byPath[path] = len(p.Files)
		p.Files = append(p.Files, f)
		return nil
	})
}

func (f *File) hash(r io.Reader, conffile bool, buffer []byte) error {
	sum := sha256.New()
	var w io.Writer = sum
	var old hash.Hash
	if conffile {
		old = md5.New()
		w = io.MultiWriter(sum, old)
	}
	if _, err := io.CopyBuffer(w, struct{ io.Reader }{r}, buffer); err != nil {
		return fault.New(fault.Invalid, "file %.200q: %w", f.Path, err)
	}
	f.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if old != nil {
		f.MD5 = hex.EncodeToString(old.Sum(nil))
	}
	return nil
}
