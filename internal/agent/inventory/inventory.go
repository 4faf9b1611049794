// Package inventory reads what a host, or a root of one, says about itself in its files: packages, where they came from,
// package sources and what they trust, settings, hardware. It reads only below the root, bounded, and believes nothing: what it
// gives are statements of the host.
package inventory

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Read reads the inventory of a root but for processes. What a root does not have is left empty; what it has and
// cannot be read is an error. Running kernel, hardware and addresses are the machine's: they stand in the host's own root only.
func Read(root string, set pkgset.Set, keys []wire.Key) (wire.Inventory, error) {
	inventory := wire.Inventory{Hostname: Hostname(root), Arch: arch(set)}
	release, err := osRelease(root)
	if err != nil {
		return inventory, err
	}
	inventory.Distribution, inventory.Release, inventory.Version = short(release["ID"]), short(release["VERSION_CODENAME"]), short(release["VERSION_ID"])
	if inventory.Kernel, err = kernel(root); err != nil {
		return inventory, err
	}
	_, err = stat(root, "run/reboot-required")
	inventory.RebootRequired = err == nil
	if inventory.Sources, err = readSources(root); err != nil {
		return inventory, err
	}
	if inventory.IndexAt, err = indexTime(root); err != nil {
		return inventory, err
	}
	repositories, loose, err := readRepositories(root)
	if err != nil {
		return inventory, err
	}
	inventory.Sources = append(inventory.Sources, repositories...)
	inventory.Sources = inventory.Sources[:min(len(inventory.Sources), wire.MaxSources)]
	settings, err := readAptConf(root)
	if err != nil {
		return inventory, err
	}
	inventory.Loose = most(append(looseSettings(settings), loose...))
	inventory.Updates = updates(root, settings)
	if inventory.Pins, err = readPins(root); err != nil {
		return inventory, err
	}
	inventory.Keys = most(append(keys, trustedKeys(root, inventory.Sources)...))
	inventory.Hardware, inventory.Addresses = hardware(root), addresses(root)
	inventory.MachineID = machineID(root)
	return inventory, nil
}

// most keeps a list within what the protocol allows.
func most[T any](list []T) []T { return list[:min(len(list), wire.MaxSettings)] }

// short is a text of at most 64 bytes, fit to be printed.
func short(s string) string {
	q := filetree.Quote(s)
	return q[:min(len(q), 64)]
}

// text is a text fit to be printed, within the protocol's bound.
func text(s string) string {
	q := filetree.Quote(s)
	return q[:min(len(q), wire.MaxText)]
}

// Hostname is what the system calls itself; under a root other than / it is what the files say.
func Hostname(root string) string {
	if root == "/" {
		if name, err := os.Hostname(); err == nil && len(name) <= wire.MaxName {
			return name
		}
	}
	if name := word(root, "etc/hostname"); name != "" && len(name) <= wire.MaxName {
		return name
	}
	return "unnamed"
}

// word reads a small file's text without the white space around it; empty where there is none.
func word(root, path string) string {
	b, err := readFile(root, path, 4096)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// osRelease reads the assignments of os-release(5).
func osRelease(root string) (map[string]string, error) {
	b, err := readFile(root, "etc/os-release", 64<<10)
	if err != nil { // none, or a link that leads out of the root
		b, err = readFile(root, "usr/lib/os-release", 64<<10)
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
	entries, err := readDir(root, "boot")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	for _, e := range entries {
		if release, ok := strings.CutPrefix(e.Name(), "vmlinuz-"); ok {
			k.Installed = append(k.Installed, short(release))
		}
	}
	slices.Sort(k.Installed)
	k.Installed = k.Installed[:min(len(k.Installed), 100)]
	return k, nil
}

// indexTime tells when apt last fetched its index. The index files carry the mirror's times, but each fetch passes through
// the directory lists/partial.
func indexTime(root string) (time.Time, error) {
	entries, err := readDir(root, lists)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	} else if err != nil {
		return time.Time{}, err
	}
	if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return strings.HasSuffix(e.Name(), "Release") }) {
		return time.Time{}, nil
	}
	var newest time.Time
	for _, dir := range []string{lists, lists + "/partial"} {
		if info, err := stat(root, dir); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest.UTC().Truncate(time.Microsecond), nil
}
