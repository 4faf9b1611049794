package world

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// makeBase gives the tarball of a bootable root of the release that holds the older version of every pair. It is
// cached under a name made of all that went into it.
func makeBase(ctx context.Context, r Release, pairs []Pair, also []string, cache string, say io.Writer) (string, error) {
	packages := append([]string{"systemd", "systemd-sysv", "dbus"}, also...)
	recipe := []string{"1", r.Codename, r.Arch, r.Main.URL}
	for _, p := range pairs {
		packages = append(packages, p.Package)
		recipe = append(recipe, p.Package+"="+p.Main)
	}
	recipe = append(recipe, packages...)
	sum := sha256.Sum256([]byte(strings.Join(recipe, "\n")))
	tarball := filepath.Join(cache, "base-"+hex.EncodeToString(sum[:8])+".tar.zst")
	if _, err := os.Stat(tarball); err == nil {
		return tarball, nil
	}
	lock, err := lockFile(filepath.Join(cache, "base.lock"))
	if err != nil {
		return "", fmt.Errorf("another process is making a base root: %w", err)
	}
	defer lock.Close()
	fmt.Fprintf(say, "making a %s root by debootstrap from %s (once; about a minute)\n", r.Codename, r.Main.URL)
	root := filepath.Join(cache, "base.root")
	if err := removeTree(root); err != nil {
		return "", fmt.Errorf("remove an unfinished root: %w", err)
	}
	err = bootstrap(ctx, r, packages, root)
	if err == nil {
		err = pack(ctx, root, tarball)
	}
	return tarball, errors.Join(err, removeTree(root))
}

// bootstrap runs debootstrap in its own mount namespace, so that the file systems it mounts in the root are gone
// with it, whatever happens.
func bootstrap(ctx context.Context, r Release, packages []string, root string) error {
	cmd := exec.CommandContext(ctx, "debootstrap", "--variant=minbase", "--components=main", "--arch="+r.Arch,
		"--include="+strings.Join(packages, ","), r.Codename, root, r.Main.URL)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("debootstrap %s from %s: %w: %s", r.Codename, r.Main.URL, err, tail(out))
	}
	return nil
}

// pack writes the root as a tarball without what each host must have for itself or can do without.
func pack(ctx context.Context, root, tarball string) error {
	partial := tarball + ".partial"
	cmd := exec.CommandContext(ctx, "tar", "--zstd", "-C", root, "--numeric-owner", "--xattrs", "--xattrs-include=*",
		"--one-file-system", "--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*", "--exclude=./debootstrap",
		"--exclude=./etc/machine-id", "--exclude=./etc/hostname", "--exclude=./etc/resolv.conf",
		"-cpf", partial, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("pack the base root: %w: %s", err, tail(out)), os.Remove(partial))
	}
	return os.Rename(partial, tarball)
}

// Chroot puts a root of the older versions into a host, as its administrator may: it belongs to the host's root user.
func (w *World) Chroot(ctx context.Context, h *Host, path string) error {
	return unpack(ctx, w.base, filepath.Join(h.Root, path))
}

// unpack makes a new root from the tarball, in about a second.
func unpack(ctx context.Context, tarball, root string) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "tar", "--zstd", "-C", root, "--numeric-owner", "--xattrs", "--xattrs-include=*",
		"-xpf", tarball)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("unpack %s: %w: %s", tarball, err, tail(out))
	}
	return nil
}
