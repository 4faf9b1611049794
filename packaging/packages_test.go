//go:build world

// Package packaging tests what `make packages` made, as files; what they do to a host is tested in demo/world.
package packaging

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// digests gives the SHA-256 of each package in a directory by its name.
func digests(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, kind := range []string{"*.deb", "*.rpm"} {
		files, err := filepath.Glob(filepath.Join(dir, kind))
		if err != nil || len(files) != 4 {
			t.Fatalf("want 4 %s in %s, have %d (%v): run make packages", kind, dir, len(files), err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(b)
			all[filepath.Base(file)] = hex.EncodeToString(sum[:])
		}
	}
	return all
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestTwoBuildsAreEqual builds the commit once more, elsewhere, as somebody else would: all packages are the same bytes.
func TestTwoBuildsAreEqual(t *testing.T) {
	if changed := output(t, "git", "status", "--porcelain"); changed != "" {
		t.Skip("dist is of no commit, for there are changes that are not committed:\n" + changed)
	}
	first := digests(t, "../dist")
	dir := filepath.Join(t.TempDir(), "elsewhere")
	output(t, "git", "clone", "--quiet", "..", dir)
	defer syscall.Umask(syscall.Umask(0o077))
	build := exec.CommandContext(t.Context(), "make", "--silent", "packages")
	build.Dir = dir
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); !slices.Contains([]string{"SOURCE_DATE_EPOCH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}, name) {
			build.Env = append(build.Env, v)
		}
	}
	build.Env = append(build.Env, "TZ=Pacific/Apia", "LC_ALL=C", "USER=somebody", "HOSTNAME=elsewhere")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, digest := range digests(t, filepath.Join(dir, "dist")) {
		if first[name] != digest {
			t.Errorf("%s: %s here, %s elsewhere", name, first[name], digest)
		}
	}
}

// TestLintianIsContent: no error and no warning but those that packaging/lintian-overrides gives a reason for.
func TestLintianIsContent(t *testing.T) {
	files, err := filepath.Glob("../dist/*.deb")
	if err != nil || len(files) != 4 {
		t.Fatalf("%d packages, %v: run make packages", len(files), err)
	}
	// As root it asks to be told that it is meant.
	output(t, "lintian", append([]string{"--allow-root", "--fail-on=error,warning"}, files...)...)
	text, err := os.ReadFile("lintian-overrides")
	if err != nil {
		t.Fatal(err)
	}
	reason := false
	for line := range bytes.Lines(text) {
		if is := bytes.HasPrefix(line, []byte("# ")); !is && !reason {
			t.Errorf("no reason stands before the override %q", line)
		} else {
			reason = is
		}
	}
}

// TestRPMsSayWhatTheDebsSay: the same files, the same programs run by root at installation.
func TestRPMsSayWhatTheDebsSay(t *testing.T) {
	for _, name := range []string{"patchwarrant", "patchwarrant-agent", "patchwarrant-executor", "patchwarrant-server"} {
		deb, err := filepath.Glob("../dist/" + name + "_*.deb")
		if err != nil || len(deb) != 1 {
			t.Fatalf("%s: %v, %v", name, deb, err)
		}
		rpm, err := filepath.Glob("../dist/" + name + "-[0-9]*.rpm")
		if err != nil || len(rpm) != 1 {
			t.Fatalf("%s: %v, %v", name, rpm, err)
		}
		var want []string
		for line := range strings.Lines(output(t, "dpkg-deb", "--contents", deb[0])) {
			f := strings.Fields(line)
			path := strings.TrimPrefix(f[5], ".")
			if ours := f[0][0] == '-' || path == "/etc/patchwarrant/"; ours && !strings.HasPrefix(path, "/usr/share/lintian/") {
				want = append(want, f[0]+" "+f[1]+" "+strings.TrimSuffix(path, "/"))
			}
		}
		have := strings.Split(strings.TrimSpace(output(t, "rpm", "--query", "--package", "--queryformat",
			"[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]", rpm[0])), "\n")
		have = slices.DeleteFunc(have, func(s string) bool { return strings.HasPrefix(s, "d") && strings.Contains(s, " /usr/share/doc/") })
		slices.Sort(want)
		slices.Sort(have)
		if !slices.Equal(want, have) {
			t.Errorf("%s: the .deb has\n%s\nthe .rpm has\n%s", name, strings.Join(want, "\n"), strings.Join(have, "\n"))
		}
		scripts := output(t, "rpm", "--query", "--package", "--scripts", rpm[0])
		for _, script := range []string{"postinst", "prerm", "postrm"} {
			control := exec.CommandContext(t.Context(), "dpkg-deb", "--info", deb[0], script)
			text, err := control.Output()
			if name == "patchwarrant" { // the command line does nothing to a machine
				if err == nil || scripts != "" {
					t.Errorf("%s runs %s as root: %s", name, script, scripts)
				}
			} else if err != nil || !strings.Contains(scripts, strings.TrimSpace(string(text))) {
				t.Errorf("%s: the .rpm lacks the .deb's %s (%v)", name, script, err)
			}
		}
	}
}
