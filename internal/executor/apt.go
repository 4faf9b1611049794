package executor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// aptConf is apt's whole configuration, with our working directory for %[1]s: none of the host's sources, keys,
// preferences and hooks take part. Dpkg's database and apt's list of automatically installed packages are the host's.
const aptConf = `Dir::Etc { Main "/dev/null"; Parts "/dev/null"; SourceList "%[1]s/sources.list"; SourceParts "/dev/null";
	Preferences "/dev/null"; PreferencesParts "/dev/null"; Trusted "/dev/null"; TrustedParts "/dev/null"; };
Dir::State::Lists "%[1]s/lists"; Dir::Cache "%[1]s/cache";
Acquire { Languages "none"; Check-Valid-Until "true"; Check-Date "true"; AllowInsecureRepositories "false";
	AllowWeakRepositories "false"; AllowDowngradeToInsecureRepositories "false"; };
APT { Install-Recommends "false"; Sandbox::User "root"; Get::AllowUnauthenticated "false"; };
DPkg { Lock::Timeout "600"; Use-Pty "false"; Options { "--force-confold"; }; };
`

const (
	maxRelease = 1 << 20   // bytes of InRelease
	maxIndex   = 256 << 20 // bytes of Packages
	maxSession = 16 << 20  // bytes of the recorded session
)

// takeOver copies what the agent carried into root's own directory, checks there what people signed, the .debs
// (ARBITRARY) and the index (MIXMATCH), and makes it apt's only source. The agent may change its files at any time; only
// the copies are used.
func (x *Executor) takeOver(ctx context.Context, l *warrant.Leave) error {
	arch, err := x.Run(ctx, "", io.Discard, "dpkg", "--print-architecture")
	if err = errors.Join(err, os.RemoveAll(x.path("work")), os.RemoveAll(x.path("sessions", l.Order.ID))); err != nil {
		return err
	}
	from, err := os.OpenRoot(filepath.Join(x.Carry, l.Order.ID))
	if err != nil {
		return fault.Refuse(fault.Failed, "the agent carries no files for order %s: %w", l.Order.ID, err)
	}
	defer from.Close()
	suite := "snapshots/" + l.Order.Snapshot.SHA256
	release, index := filepath.Join("dists", suite), "main/binary-"+strings.TrimSpace(string(arch))
	if _, err := copyIn(from, "InRelease", x.path("work", release, "InRelease"), maxRelease); err != nil {
		return err
	}
	if digest, err := copyIn(from, "Packages", x.path("work", release, index, "Packages"), maxIndex); err != nil {
		return err
	} else if digest != l.Order.Snapshot.Index {
		return fault.Refuse(fault.MixMatch, "the index carried for order %s has sha256 %s, not %s", l.Order.ID, digest, l.Order.Snapshot.Index)
	}
	for _, a := range l.Transaction.Actions {
		if a.File == "" {
			continue
		}
		if digest, err := copyIn(from, a.File, x.path("work", a.File), a.Size); err != nil {
			return err
		} else if digest != a.SHA256 {
			return fault.Refuse(fault.Arbitrary, "%s carried for order %s has sha256 %s, not %s", a.File, l.Order.ID, digest, a.SHA256)
		}
	}
	err = errors.Join(os.MkdirAll(x.path("work/lists/partial"), 0o700), os.MkdirAll(x.path("work/cache/archives/partial"), 0o700))
	var keys []string
	for i, key := range l.Root.Repository.Keys {
		keys = append(keys, x.path("work", fmt.Sprintf("key%d.asc", i)))
		err = errors.Join(err, os.WriteFile(keys[i], []byte(key), 0o600))
	}
	source := fmt.Sprintf("deb [signed-by=%s by-hash=no] file:%s %s main\n", strings.Join(keys, ","), x.path("work"), suite)
	err = errors.Join(err, os.WriteFile(x.path("work/sources.list"), []byte(source), 0o600),
		os.WriteFile(x.path("work/apt.conf"), fmt.Appendf(nil, aptConf, x.path("work")), 0o600))
	if err == nil {
		_, err = x.apt(ctx, l.Order.ID, "--error-on=any", "update")
	}
	return err
}

// copyIn copies a regular file of at most limit bytes and gives the digest of what it wrote. No link is followed.
func copyIn(from *os.Root, name, to string, limit int64) (string, error) {
	in, err := from.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", fault.Refuse(fault.Failed, "carried file: %w", err)
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > limit {
		return "", fault.Refuse(fault.Arbitrary, "carried file %s is no regular file of at most %d bytes", name, limit)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return "", err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, h), io.LimitReader(in, limit))
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, out.Close())
}

// Status is dpkg's view of a package: its version, what is wanted ("install", "hold", …) and what is ("installed", …).
type Status struct{ Version, Want, Is string }

// installed gives every package that has files or unfinished work on the host, by name:arch.
func (x *Executor) installed(ctx context.Context) (map[string]Status, error) {
	out, err := x.Run(ctx, "", io.Discard, "dpkg-query", "--show",
		"--showformat=${Package}:${Architecture} ${db:Status-Want} ${db:Status-Status} ${Version}\n")
	all := map[string]Status{}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 4 && f[2] != "not-installed" && f[2] != "config-files" {
			all[f[0]] = Status{f[3], f[1], f[2]}
		}
	}
	return all, err
}

func key(a warrant.Action) string { return a.Name + ":" + a.Arch }

// checkBefore refuses (PLAN, HELD) where the host does not have what the order starts from.
func checkBefore(before map[string]Status, actions []warrant.Action) error {
	for _, a := range actions {
		s, installed := before[key(a)]
		if s.Want == "hold" {
			return fault.Refuse(fault.Held, "%s is on hold on this host", a.Name)
		}
		if installed != (a.From != "") || installed && (s.Version != a.From || s.Is != "installed") {
			return fault.Refuse(fault.Plan, "%s: the order starts from %q, the host has %q (%s)", key(a), a.From, s.Version, s.Is)
		}
	}
	return nil
}

// asPlanned reports whether the packages after are those before with the actions done and nothing else.
func asPlanned(before, after map[string]Status, actions []warrant.Action) bool {
	want := maps.Clone(before)
	for _, a := range actions {
		if want[key(a)] = (Status{a.To, "install", "installed"}); a.Do == "remove" {
			delete(want, key(a))
		}
	}
	return maps.Equal(want, after)
}

// observe lists the order's packages as they are.
func observe(actions []warrant.Action, after map[string]Status) []warrant.Observed {
	out := []warrant.Observed{}
	for _, a := range actions {
		s := after[key(a)]
		out = append(out, warrant.Observed{Name: a.Name, Arch: a.Arch, From: a.From, To: a.To, Now: s.Version, Status: s.Is})
	}
	return out
}

// rehearse refuses (PLAN) unless apt, asked to simulate, would take exactly the steps of the actions, and asked for its
// URIs, exactly the copies: people signed no more of the index than its digest, and it might lead elsewhere.
func (x *Executor) rehearse(ctx context.Context, order string, actions []warrant.Action) error {
	simulation, err := x.apt(ctx, order, append([]string{"--simulate"}, arguments(actions)...)...)
	uris, urisErr := x.apt(ctx, order, append([]string{"--print-uris"}, arguments(actions)...)...)
	if err = errors.Join(err, urisErr); err != nil {
		return fault.Refuse(fault.Plan, "%w", err)
	}
	approved, would := []string{}, steps(append(simulation, uris...))
	for _, a := range actions {
		if a.Do == "remove" {
			approved = append(approved, "Remv "+a.Name+" ["+a.From+"]")
			continue
		}
		from, to := " ["+a.From+"]", " ("+a.To+" ["+a.Arch+"])"
		if a.From == "" {
			from = ""
		}
		approved = append(approved, "Inst "+a.Name+from+to, "Conf "+a.Name+to, "file:"+x.path("work", a.File))
	}
	slices.Sort(approved)
	slices.Sort(would)
	if slices.Equal(approved, would) {
		return nil
	}
	without := func(a, b []string) []string {
		return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
	}
	return fault.Refuse(fault.Plan, "the host would do something else than was approved: it would %q, and not %q",
		without(would, approved), without(approved, would))
}

// simulated matches a step of `apt-get --simulate`: the name with the architecture where it is a foreign one, the old
// version, the new version with its origins and architecture, and what apt says of dependencies.
var simulated = regexp.MustCompile(`^(Inst|Conf|Remv) ([^ :]+)(?::[a-z0-9-]+)?( \[[^\] ]+\])?(?:( \([^ ()]+)(?: [^()]*)?( \[[a-z0-9-]+\]\)))?(?: \[.*)?$`)

// steps gives the steps of a simulation without origins and dependencies, and the URIs, in quotes, that apt would unpack.
// What is not understood is given as it is.
func steps(printed []byte) (out []string) {
	for line := range strings.Lines(string(printed)) {
		line = strings.TrimSpace(line)
		if quoted := strings.SplitN(line, "'", 3); quoted[0] == "" && len(quoted) == 3 {
			uri, err := url.PathUnescape(quoted[1])
			out = append(out, cmp.Or(uri, quoted[1]+fmt.Sprint(err)))
		}
		if slices.Contains([]string{"Inst", "Conf", "Remv", "Purg"}, strings.SplitN(line, " ", 2)[0]) {
			out = append(out, simulated.ReplaceAllString(line, "$1 $2$3$4$5"))
		}
	}
	return out
}

// arguments name every package with its version; a trailing minus removes. The form of names and versions was checked.
// New packages are marked as automatically installed, and the marks of others stay.
func arguments(actions []warrant.Action) []string {
	args := []string{"install", "--yes", "--no-remove", "--mark-auto"}
	for _, a := range actions {
		name := strings.TrimSuffix(key(a), ":all")
		switch a.Do {
		case "remove":
			args[2] = "--remove" // as opposed to --no-remove and --purge
			args = append(args, name+"-")
			continue
		case "downgrade":
			args = append(args, "--allow-downgrades")
		}
		args = append(args, name+"="+a.To)
	}
	return args
}

// session is the record of what an order ran, and what that printed. What is over maxSession is not kept. Source: R-705.
type session struct{ *os.File }

// Write implements io.Writer.
func (s session) Write(p []byte) (int, error) {
	info, err := s.Stat()
	if err == nil && info.Size() < maxSession {
		_, err = s.File.Write(p)
	}
	return len(p), err
}

func (x *Executor) session(order string) (session, error) {
	path := x.path("sessions", order, "session.log")
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err != nil {
		return session{}, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	return session{f}, err
}

// seal closes the record with old and new versions, makes it durable and read-only, and gives its digest.
func (x *Executor) seal(r warrant.Report) (string, error) {
	s, err := x.session(r.Order)
	if err != nil {
		return "", err
	}
	defer s.Close()
	text := fmt.Sprintf("# order %s %s on host %s: %s %s %s\n", r.Order, r.OrderDigest, r.Host, r.Outcome, r.Code, r.Reason)
	for _, p := range r.Packages {
		text += fmt.Sprintf("# %s:%s %q -> %q %s\n", p.Name, p.Arch, p.From, p.Now, p.Status)
	}
	_, err = s.File.WriteString(text)
	b, readErr := io.ReadAll(io.NewSectionReader(s, 0, 2*maxSession))
	return envelope.Digest(b), errors.Join(err, readErr, s.Sync(), s.Chmod(0o400))
}

func (x *Executor) apt(ctx context.Context, order string, args ...string) ([]byte, error) {
	s, err := x.session(order)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	fmt.Fprintf(s, "$ apt-get %s # %s\n", strings.Join(args, " "), x.Now().Format(time.RFC3339))
	out, err := x.Run(ctx, x.path("work/apt.conf"), s, "apt-get", args...)
	if err != nil {
		fmt.Fprintf(s, "# %v\n", err)
	}
	return out, err
}

// Run runs a program without shell, terminal or input, in a fixed environment, and gives what it printed, also to log. The program
// dies with this process. It is the Config's Run, except in tests.
func Run(ctx context.Context, aptConf string, log io.Writer, name string, args ...string) ([]byte, error) {
	runtime.LockOSThread() // the child dies with the thread that started it
	defer runtime.UnlockOSThread()
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		"APT_CONFIG=" + aptConf}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, log), io.MultiWriter(&complaint, log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second // a service that the packages started may keep the output open
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return out.Bytes(), nil
	}
	tail := complaint.Bytes()[max(0, complaint.Len()-800):]
	return out.Bytes(), fault.Refuse(fault.Failed, "%s: %w: %q", strings.Join(args, " "), err, tail)
}
