package csaf

import "strings"

// covered is the source packages that a status names, by platform and by their names, versions and modules. Their binary packages,
// named beside them, say nothing more; those of a source that it does not name do.
type covered map[[2]string]bool

func (c covered) add(source pack) {
	for _, mark := range []string{"", "name " + source.name, "version " + withoutEpoch(source.version), "module " + source.module} {
		c[[2]string{source.platform, mark}] = true
	}
}

// has says whether a binary package is of a source package that was added: it is of its module, in its version, or has its name or
// one that begins with it ("tool-libs" of "tool"). Without a version it cannot be told from others, and is.
func (c covered) has(binary pack) bool {
	is := func(mark string) bool { return c[[2]string{binary.platform, mark}] }
	if binary.version == "" {
		return is("")
	}
	if is("version "+withoutEpoch(binary.version)) || binary.module != "" && is("module "+binary.module) {
		return true
	}
	for name := binary.name; ; {
		if is("name " + name) {
			return true
		}
		i := strings.LastIndexByte(name, '-')
		if i < 0 {
			return false
		}
		name = name[:i]
	}
}

func withoutEpoch(version string) string {
	if _, rest, found := strings.Cut(version, ":"); found {
		return rest
	}
	return version
}
