package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Apt is the package manager of Debian. Its configuration is private: none of the host's sources, keys, preferences and
// hooks take part; dpkg's database and apt's list of automatically installed packages are the host's.
type Apt struct{ conf string }

// aptConf has the repository's directory for %[1]s.
const aptConf = `Dir::Etc { Main "/dev/null"; Parts "/dev/null"; SourceList "%[1]s/sources.list"; SourceParts "/dev/null";
	Preferences "/dev/null"; PreferencesParts "/dev/null"; Trusted "/dev/null"; TrustedParts "/dev/null"; };
Dir::State::Lists "%[1]s/lists";
Dir::Cache "%[1]s/cache";
Acquire { Languages "none"; Check-Valid-Until "true"; Check-Date "true"; AllowInsecureRepositories "false";
	AllowWeakRepositories "false"; AllowDowngradeToInsecureRepositories "false"; };
APT { Install-Recommends "false"; Sandbox::User "root"; Get::AllowUnauthenticated "false"; };
DPkg { Lock::Timeout "300"; Use-Pty "false"; Options { "--force-confold"; }; };
`

// Prepare implements Packages.
func (p *Apt) Prepare(ctx context.Context, r Repository, log io.Writer) error {
	arch, err := run(ctx, io.Discard, "", "dpkg", "--print-architecture")
	if err != nil {
		return err
	}
	release := filepath.Join(r.Dir, "dists", r.Suite)
	index := filepath.Join(release, "main", "binary-"+strings.TrimSpace(string(arch)))
	for _, dir := range []string{index, filepath.Join(r.Dir, "lists/partial"), filepath.Join(r.Dir, "cache/archives/partial")} {
		err = errors.Join(err, os.MkdirAll(dir, 0o700))
	}
	err = errors.Join(err, os.Rename(filepath.Join(r.Dir, "InRelease"), filepath.Join(release, "InRelease")),
		os.Rename(filepath.Join(r.Dir, "Packages"), filepath.Join(index, "Packages")))
	var keys []string
	for i, key := range r.Keys {
		keys = append(keys, filepath.Join(r.Dir, fmt.Sprintf("key%d.asc", i)))
		err = errors.Join(err, os.WriteFile(keys[i], []byte(key), 0o600))
	}
	source := fmt.Sprintf("deb [signed-by=%s by-hash=no] file:%s %s main\n", strings.Join(keys, ","), r.Dir, r.Suite)
	p.conf = filepath.Join(r.Dir, "apt.conf")
	err = errors.Join(err, os.WriteFile(filepath.Join(r.Dir, "sources.list"), []byte(source), 0o600),
		os.WriteFile(p.conf, fmt.Appendf(nil, aptConf, r.Dir), 0o600))
	if err != nil {
		return err
	}
	_, err = p.apt(ctx, log, "--error-on=any", "update")
	return err
}

// Installed implements Packages.
func (p *Apt) Installed(ctx context.Context) (map[string]Status, error) {
	out, err := run(ctx, io.Discard, "", "dpkg-query", "--show",
		"--showformat=${Package} ${Architecture} ${db:Status-Want} ${db:Status-Status} ${Version}\n")
	if err != nil {
		return nil, err
	}
	all := map[string]Status{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) == 5 && f[3] != "not-installed" && f[3] != "config-files" {
			all[Key(f[0], f[1])] = Status{f[4], f[2], f[3]}
		}
	}
	return all, nil
}

// Simulate implements Packages.
func (p *Apt) Simulate(ctx context.Context, actions []warrant.Action, log io.Writer) ([]Step, error) {
	out, err := p.apt(ctx, log, append([]string{"--simulate"}, arguments(actions)...)...)
	if err != nil {
		return nil, fault.Refuse(fault.Plan, "%w", err)
	}
	return parseSimulation(out)
}

// Apply implements Packages.
func (p *Apt) Apply(ctx context.Context, actions []warrant.Action, log io.Writer) error {
	_, err := p.apt(ctx, log, arguments(actions)...)
	return err
}

// arguments name every package with its version; a trailing minus removes. Versions and names have been checked for form.
func arguments(actions []warrant.Action) []string {
	has := func(verb string) bool {
		return slices.ContainsFunc(actions, func(a warrant.Action) bool { return a.Do == verb })
	}
	args := []string{"install", "--yes"}
	if !has("remove") {
		args = append(args, "--no-remove")
	}
	if has("downgrade") {
		args = append(args, "--allow-downgrades")
	}
	for _, a := range actions {
		name := Key(a.Name, a.Arch)
		if a.Arch == "all" {
			name = a.Name
		}
		if a.Do == "remove" {
			args = append(args, name+"-")
		} else {
			args = append(args, name+"="+a.To)
		}
	}
	return args
}

var simulated = regexp.MustCompile(`^(Inst|Conf|Remv|Purg) ([^ :]+)(?::[a-z0-9-]+)?(?: \[([^\] ]+)\])?(?: \(([^ ()]+)(?: [^()]*)? \[([a-z0-9-]+)\]\))?(?: \[.*)?$`)

// parseSimulation reads what `apt-get --simulate` prints. A line that begins like a step and is none is refused (PLAN).
func parseSimulation(out []byte) ([]Step, error) {
	var steps []Step
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if verb, _, _ := strings.Cut(line, " "); !slices.Contains([]string{"Inst", "Conf", "Remv", "Purg"}, verb) {
			continue
		}
		m := simulated.FindStringSubmatch(line)
		if m == nil {
			return nil, fault.Refuse(fault.Plan, "the simulation says %q, which is not understood", line)
		}
		steps = append(steps, Step{Verb: m[1], Name: m[2], From: m[3], To: m[4], Arch: m[5]})
	}
	return steps, nil
}

// Settle implements Packages: it waits for the locks of apt and dpkg.
func (p *Apt) Settle(ctx context.Context) error {
	for _, name := range []string{"/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"} {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
		if err != nil {
			return err
		}
		for err = syscall.EAGAIN; err != nil; {
			if err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK}); err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return errors.Join(fmt.Errorf("wait for %s: %w", name, ctx.Err()), f.Close())
			case <-time.After(time.Second):
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Apt) apt(ctx context.Context, log io.Writer, args ...string) ([]byte, error) {
	return run(ctx, log, p.conf, "apt-get", args...)
}

// run runs a program without shell, terminal or input, in a fixed environment, and records it in log. The program dies
// with this process.
func run(ctx context.Context, log io.Writer, aptConf, name string, args ...string) ([]byte, error) {
	runtime.LockOSThread() // the child dies with the thread that started it
	defer runtime.UnlockOSThread()
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		"APT_CONFIG=" + aptConf}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, log), io.MultiWriter(&complaint, log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second // a service that the packages started may keep the output open
	fmt.Fprintf(log, "$ %s\n", strings.Join(cmd.Args, " "))
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if err != nil {
		fmt.Fprintf(log, "# %v\n", err)
		b := complaint.Bytes()
		err = fault.Refuse(fault.Failed, "%s: %w: %q", strings.Join(args, " "), err, b[max(0, len(b)-800):])
	}
	return out.Bytes(), err
}
