package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Packages reads the packages of a root: dpkg's where it has books of dpkg, else rpm's with the keys that rpm trusts. A root
// with neither is an error of kind fault.NotFound.
func Packages(ctx context.Context, root string) (pkgset.Set, []wire.Key, error) {
	b, err := readFile(root, "var/lib/dpkg/status", deb.MaxStatus)
	if errors.Is(err, fs.ErrNotExist) {
		return rpmPackages(ctx, root)
	} else if err != nil {
		return nil, nil, err
	}
	installed, err := deb.ParseStatus(bytes.NewReader(b))
	if err != nil {
		return nil, nil, err
	}
	return pkgset.FromStatus(installed), nil, nil
}

// rpmPackages asks the host's own rpm about a root's database: no program of another root is ever run. Rpm has no shell
// and no configuration from the agent; what it answers is bounded and parsed strictly.
func rpmPackages(ctx context.Context, root string) (pkgset.Set, []wire.Key, error) {
	database, err := rpm.Database(root)
	if err != nil {
		return nil, nil, err
	}
	if database == "" {
		return nil, nil, fault.New(fault.NotFound, "%s has books of neither dpkg nor rpm", root)
	}
	if _, err := stat(root, strings.TrimPrefix(strings.TrimPrefix(database, root), "/")); err != nil {
		return nil, nil, fmt.Errorf("read rpm's database %s: %w", database, err) // a link out of the root, for one
	}
	answer, err := askRPM(ctx, database)
	if err != nil {
		return nil, nil, fmt.Errorf("read rpm's database %s: %w", database, err)
	}
	installed, err := rpm.ParseQuery(answer)
	if err != nil {
		return nil, nil, fmt.Errorf("read rpm's database %s: %w", database, err)
	}
	if len(installed) == 0 { // rpm says nothing of a database in a form it does not know
		return nil, nil, fault.New(fault.Unavailable, "the rpm of this host reads no package in %s: its form may be newer than this rpm, or older; name no such root, or bring rpm up to date", database)
	}
	var keys []wire.Key
	for _, p := range installed {
		if p.Name == rpm.PublicKey {
			id, _, _ := strings.Cut(p.Version, "-")
			keys = append(keys, wire.Key{File: "rpm", Fingerprint: id})
		}
	}
	return pkgset.FromRPM(installed), keys, nil
}

const rpmTime = 2 * time.Minute

func askRPM(ctx context.Context, database string) ([]byte, error) {
	program, err := exec.LookPath("rpm")
	if err != nil {
		return nil, fault.New(fault.Unavailable, "this host has no rpm to read it with; install rpm")
	}
	ctx, cancel := context.WithTimeout(ctx, rpmTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, rpm.Arguments(database)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=/nonexistent"}
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &limited{to: &stderr, left: 2048}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(out, rpm.MaxQuery+1))
	if len(answer) > rpm.MaxQuery {
		cancel()
	}
	if waited := cmd.Wait(); err == nil {
		err = waited
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "rpm fails (is the database newer than this rpm?): %w: %s", err, text(stderr.String()))
	}
	return answer, nil
}

// limited lets the first bytes through and swallows the rest.
type limited struct {
	to   *bytes.Buffer
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	n := min(len(b), l.left)
	l.to.Write(b[:n])
	l.left -= n
	return len(b), nil
}

// arch is the architecture of the packager itself, which is what it calls native.
func arch(set pkgset.Set) string {
	for _, p := range set {
		if p.Name == "dpkg" && p.RPM == nil || p.Name == "rpm" && p.RPM != nil {
			return p.Arch
		}
	}
	return ""
}
