package explain

import (
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

// renewed applies rule P14: a copy has the content that the order names and that its package has at that path, and is otherwise
// as it was. Where the order names what the package does not have, or starts from another content, nothing is expected.
func (s *scene) renewed(i Inside, load func(digest string, v any) error) error {
	origins := map[string]*Contents{} // by package
	for _, digest := range i.Origins {
		c := &Contents{}
		if err := load(digest, c); err != nil {
			return err
		}
		origins[c.SHA256] = c
	}
	for _, c := range i.Copies {
		was, o := s.wasAt(c.Path), origins[c.Deb]
		if was == nil || was.Type != filetree.File || was.SHA256 != c.From || o == nil || o.Name != c.Package || o.Version != c.Version {
			continue
		}
		if f, ok := o.Original(c.Path); ok && f.SHA256 == c.To && f.Size == c.Size {
			want := *was
			want.SHA256, want.Size = c.To, c.Size
			s.expected[c.Path] = Expected{Entry: want, Rule: "P14", Package: c.Package}
		}
	}
	return nil
}

// Original gives the regular file that the package has at a path, unless it is a configuration file. Since the directories /bin,
// /lib and /sbin were merged into /usr, a package may name it by either path.
func (c *Contents) Original(path string) (Shipped, bool) {
	other, merged := strings.CutPrefix(path, "/usr")
	if !merged {
		other = "/usr" + path
	}
	i := slices.IndexFunc(c.Files, func(f Shipped) bool { return f.Type == filetree.File && (f.Path == path || f.Path == other) })
	if i < 0 || slices.Contains(c.Conffiles, c.Files[i].Path) {
		return Shipped{}, false
	}
	return c.Files[i], true
}
