package inventory

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// systems are where other systems usually stand below a host's root, as patterns of filepath.Match.
var systems = []struct{ pattern, kind string }{
	{"var/lib/machines/*", "machine"},
	{"srv/chroot/*", "chroot"},
	{"var/chroot/*", "chroot"},
	{"var/lib/lxc/*/rootfs", "container"},
	{"var/lib/docker/overlay2/*/merged", "container"},
	{"var/lib/containers/storage/overlay/*/merged", "container"},
}

// Found names other systems on the host, by path: at the usual places, in schroot's configuration, and in processes' own
// roots. A system is a directory with an os-release and the books of dpkg or rpm; a process's root is one in any case.
func Found(root string, configured, processes []string) []wire.Found {
	all := map[string]wire.Found{}
	add := func(path, kind string, always bool) {
		_, known := all[path]
		full := filepath.Join(root, path)
		release, err := osRelease(full)
		if known || len(all) == wire.MaxSettings || path == "/" || !always && (err != nil || !hasBooks(full)) {
			return
		}
		q := filetree.Quote(path)
		all[path] = wire.Found{Path: q[:min(len(q), wire.MaxText)], Kind: kind, Distribution: short(release["ID"]), Release: short(release["VERSION_CODENAME"]),
			Reported: slices.Contains(configured, path)}
	}
	for _, s := range systems {
		names, _ := filepath.Glob(filepath.Join(root, s.pattern)) // the patterns are ours and well-formed
		for _, name := range names[:min(len(names), wire.MaxSources)] {
			add("/"+strings.TrimPrefix(strings.TrimPrefix(name, root), "/"), s.kind, false)
		}
	}
	for _, dir := range schroots(root) {
		add(dir, "chroot", false)
	}
	for _, quoted := range processes {
		if dir, ok := filetree.Unquote(quoted); ok {
			add(dir, "process", true)
		}
	}
	var out []wire.Found
	for _, f := range all {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b wire.Found) int { return strings.Compare(a.Path, b.Path) })
	return out
}

func hasBooks(root string) bool {
	if _, err := stat(root, "var/lib/dpkg/status"); err == nil {
		return true
	}
	database, err := rpm.Database(root)
	return err == nil && database != ""
}

// schroots gives the directories in schroot's configuration. Source: schroot.conf(5).
func schroots(root string) []string {
	names, _ := confFiles(root, "etc/schroot/chroot.d", "", ".conf")
	var all []string
	for _, name := range append(names, "etc/schroot/schroot.conf") {
		b, err := readFile(root, name, maxConf)
		if err != nil {
			continue
		}
		for _, s := range parseINI(string(b)) {
			if dir := s.get("directory"); filepath.IsAbs(dir) && len(all) < wire.MaxSettings {
				all = append(all, filepath.Clean(dir))
			}
		}
	}
	return all
}
