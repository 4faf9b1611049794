package world

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
)

// Release is the Debian release of this machine and where its own apt sources have it.
type Release struct {
	Codename string // e.g. bookworm
	Arch     string // e.g. amd64
	Main     Archive
	Security Archive
}

// Archive is the component main of one suite, as apt knows it.
type Archive struct {
	Suite string // the directory below dists/, e.g. bookworm-security
	URL   string // the mirror
	index string // apt's own copy of the index, possibly compressed
}

// Pair is a package whose version in the main archive is older than in the security archive.
type Pair struct {
	Package  string
	Main     string
	Security string
}

// ThisRelease asks apt which archives it has for the release of this machine. Where apt has no indexes yet, it
// lets apt fetch them.
func ThisRelease(ctx context.Context) (Release, error) {
	r, err := fromApt(ctx)
	if !errors.Is(err, errNoIndex) {
		return r, err
	}
	if out, err := exec.CommandContext(ctx, "apt-get", "update", "-q").CombinedOutput(); err != nil {
		return Release{}, fmt.Errorf("apt-get update: %w: %s", err, tail(out))
	}
	return fromApt(ctx)
}

var errNoIndex = errors.New("apt has no index of it; enable it in /etc/apt/sources.list and run apt-get update")

func fromApt(ctx context.Context) (Release, error) {
	codename, err := codename()
	if err != nil {
		return Release{}, err
	}
	arch, err := exec.CommandContext(ctx, "dpkg", "--print-architecture").Output()
	if err != nil {
		return Release{}, fmt.Errorf("ask dpkg for the architecture: %w", err)
	}
	r := Release{Codename: codename, Arch: strings.TrimSpace(string(arch))}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(CODENAME) $(COMPONENT) $(ARCHITECTURE) $(REPO_URI) $(FILENAME)", "Created-By: Packages").Output()
	if err != nil {
		return Release{}, fmt.Errorf("ask apt for its indexes: %w", err)
	}
	r.Main = archive(out, codename, r.Arch)
	r.Security = archive(out, codename+"-security", r.Arch)
	for _, a := range []Archive{r.Main, r.Security} {
		if a.index == "" {
			return Release{}, fmt.Errorf("%s: %w", a.Suite, errNoIndex)
		}
	}
	return r, nil
}

func archive(targets []byte, suite, arch string) Archive {
	a := Archive{Suite: suite}
	for line := range strings.Lines(string(targets)) {
		f := strings.Fields(line)
		if len(f) == 5 && f[0] == suite && f[1] == "main" && f[2] == arch {
			a.URL, a.index = strings.TrimSuffix(f[3], "/"), f[4]
		}
	}
	return a
}

func codename() (string, error) {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(name, `"`), nil
		}
	}
	return "", errors.New("/etc/os-release names no VERSION_CODENAME: is this a Debian release?")
}

// OlderInMain lists those of the preferred packages that the security archive has newer than the main archive, in
// the order of preference. It is asked at run time because a point release can overtake the security archive.
func (r Release) OlderInMain(ctx context.Context, preferred []string) ([]Pair, error) {
	main, err := r.Main.versions(ctx, preferred)
	if err != nil {
		return nil, err
	}
	security, err := r.Security.versions(ctx, preferred)
	if err != nil {
		return nil, err
	}
	var pairs []Pair
	for _, name := range preferred {
		older, newer := main[name], security[name]
		if older != "" && newer != "" && deb.Compare(newer, older) > 0 {
			pairs = append(pairs, Pair{Package: name, Main: older, Security: newer})
		}
	}
	return pairs, nil
}

// versions gives the newest version of each wanted package in the archive.
func (a Archive) versions(ctx context.Context, want []string) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, "/usr/lib/apt/apt-helper", "cat-file", a.index)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("read apt's index of %s: %w", a.Suite, err)
	}
	newest, err := newestVersions(out, want)
	if err != nil {
		_, drained := io.Copy(io.Discard, out)
		return nil, errors.Join(fmt.Errorf("parse apt's index of %s: %w", a.Suite, err), drained, cmd.Wait())
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("read apt's index of %s: %w: %s", a.Suite, err, tail(stderr.Bytes()))
	}
	return newest, nil
}

func newestVersions(index io.Reader, want []string) (map[string]string, error) {
	newest := map[string]string{}
	for entry, err := range deb.ParsePackages(index) {
		if err != nil {
			return nil, err
		}
		if !slices.Contains(want, entry.Name) {
			continue
		}
		if have, ok := newest[entry.Name]; !ok || deb.Compare(entry.Version, have) > 0 {
			newest[entry.Name] = entry.Version
		}
	}
	return newest, nil
}

// tail is the end of a command's output, enough to see why it failed.
func tail(out []byte) string {
	const most = 2000
	out = bytes.TrimSpace(out)
	if len(out) > most {
		out = out[len(out)-most:]
	}
	return string(out)
}
