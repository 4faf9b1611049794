package agent

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// readPackages reads dpkg's books under root.
func readPackages(root string) (pkgset.Set, error) {
	b, err := readFile(filepath.Join(root, "var/lib/dpkg/status"), deb.MaxStatus)
	if err != nil {
		return nil, err
	}
	installed, err := deb.ParseStatus(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return pkgset.FromStatus(installed), nil
}

// hostArch is the architecture of dpkg itself, which is what dpkg calls native.
func hostArch(set pkgset.Set) string {
	for _, p := range set {
		if p.Name == "dpkg" {
			return p.Arch
		}
	}
	return ""
}

// readInventory reads what else the server wants to know of the host. What a host does not have is left empty; what
// it has and cannot be read is an error.
func readInventory(root, arch string) (wire.Inventory, error) {
	inventory := wire.Inventory{Hostname: hostname(root), Arch: arch}
	release, err := osRelease(root)
	if err != nil {
		return inventory, err
	}
	inventory.Distribution, inventory.Release = release["ID"], release["VERSION_CODENAME"]
	if inventory.Kernel, err = kernel(root); err != nil {
		return inventory, err
	}
	_, err = os.Stat(filepath.Join(root, "run/reboot-required"))
	inventory.RebootRequired = err == nil
	if inventory.Sources, err = readSources(root); err != nil {
		return inventory, err
	}
	inventory.IndexAt, err = indexTime(root)
	return inventory, err
}

// hostname is what the system calls itself; under a root other than / it is what the files say.
func hostname(root string) string {
	if root == "/" {
		if name, err := os.Hostname(); err == nil {
			return name
		}
	}
	if name := word(root, "etc/hostname"); name != "" {
		return name
	}
	return "unnamed"
}

// word reads a small file's text without the white space around it; empty where there is none.
func word(root, path string) string {
	b, err := readFile(filepath.Join(root, path), 4096)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// osRelease reads the assignments of os-release(5).
func osRelease(root string) (map[string]string, error) {
	b, err := readFile(filepath.Join(root, "etc/os-release"), 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = readFile(filepath.Join(root, "usr/lib/os-release"), 64<<10)
	}
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if found && !strings.HasPrefix(name, "#") {
			values[name] = strings.Trim(value, `"'`)
		}
	}
	return values, nil
}

func kernel(root string) (wire.Kernel, error) {
	k := wire.Kernel{Running: word(root, "proc/sys/kernel/osrelease"), Version: word(root, "proc/sys/kernel/version"), Installed: []string{}}
	entries, err := os.ReadDir(filepath.Join(root, "boot"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	for _, e := range entries {
		if release, ok := strings.CutPrefix(e.Name(), "vmlinuz-"); ok {
			k.Installed = append(k.Installed, release)
		}
	}
	slices.Sort(k.Installed)
	return k, nil
}

// indexTime tells when apt last fetched its index. The index files carry the mirror's times, but each fetch passes through
// the directory lists/partial.
func indexTime(root string) (time.Time, error) {
	lists := filepath.Join(root, "var/lib/apt/lists")
	entries, err := os.ReadDir(lists)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	} else if err != nil {
		return time.Time{}, err
	}
	if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return strings.HasSuffix(e.Name(), "Release") }) {
		return time.Time{}, nil
	}
	var newest time.Time
	for _, dir := range []string{lists, filepath.Join(lists, "partial")} {
		if info, err := os.Stat(dir); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest.UTC().Truncate(time.Microsecond), nil
}

// readReportKey gives the base64 public key of the executor on this host; empty where there is none.
func readReportKey(path string) (string, error) {
	b, err := readFile(path, 4096)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	key := strings.TrimSpace(string(b))
	if !wire.ValidReportKey(key) {
		return "", fault.New(fault.Invalid, "%s does not hold an executor's public key", path)
	}
	return key, nil
}
