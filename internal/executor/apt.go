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

	"golang.org/x/sys/unix"

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

// site is a root of the host in which apt works for an order. In one beside the host's own everything runs in a chroot, with
// the root's own programs.
type site struct {
	*Executor
	order, root, work string // root is empty for the host's own; work is where the copies lie, as it is named in the root
}

func (x *Executor) site(order, root string) site {
	if root == "" {
		return site{x, order, root, x.path("work")}
	}
	return site{x, order, root, "/.patchwarrant"}
}

// copies gives where the copies lie.
func (s site) copies(names ...string) string {
	return s.root + filepath.Join(s.work, filepath.Join(names...))
}

// safe reports whether a directory and all above it are root's, no links, and not for others to write in, or to write in as
// in /tmp: then nobody else can put another in its place.
func safe(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Sys().(*syscall.Stat_t).Uid != 0 || info.Mode()&0o022 != 0 && info.Mode()&os.ModeSticky == 0 {
		return false
	}
	return dir == "/" || safe(filepath.Dir(dir))
}

// takeOver copies what the agent carried into root's own directory, checks there what people signed, the .debs
// (ARBITRARY) and the index (MIXMATCH), and makes it apt's only source. The agent may change its files at any time; only
// the copies are used.
func (s site) takeOver(ctx context.Context, l *warrant.Leave, actions []warrant.Action) error {
	arch, err := s.Run(ctx, s.root, "", io.Discard, "dpkg", "--print-architecture")
	if err = errors.Join(err, os.RemoveAll(s.copies()), os.Mkdir(s.copies(), 0o700)); err != nil {
		return err
	}
	from, err := os.OpenRoot(filepath.Join(s.Carry, l.Order.ID))
	if err != nil {
		return fault.Refuse(fault.Failed, "the agent carries no files for order %s: %w", l.Order.ID, err)
	}
	defer from.Close()
	suite := "snapshots/" + l.Order.Snapshot.SHA256
	release, index := filepath.Join("dists", suite), "main/binary-"+strings.TrimSpace(string(arch))
	if _, err := copyIn(from, "InRelease", s.copies(release, "InRelease"), maxRelease); err != nil {
		return err
	}
	if digest, err := copyIn(from, "Packages", s.copies(release, index, "Packages"), maxIndex); err != nil {
		return err
	} else if digest != l.Order.Snapshot.Index {
		return fault.Refuse(fault.MixMatch, "the index carried for order %s has sha256 %s, not %s", l.Order.ID, digest, l.Order.Snapshot.Index)
	}
	for _, a := range actions {
		if a.File == "" {
			continue
		}
		if digest, err := copyIn(from, a.File, s.copies(a.File), a.Size); err != nil {
			return err
		} else if digest != a.SHA256 {
			return fault.Refuse(fault.Arbitrary, "%s carried for order %s has sha256 %s, not %s", a.File, l.Order.ID, digest, a.SHA256)
		}
	}
	err = errors.Join(os.MkdirAll(s.copies("lists/partial"), 0o700), os.MkdirAll(s.copies("cache/archives/partial"), 0o700))
	var keys []string
	for i, key := range l.Root.Repository.Keys {
		keys = append(keys, fmt.Sprintf("%s/key%d.asc", s.work, i))
		err = errors.Join(err, os.WriteFile(s.root+keys[i], []byte(key), 0o600))
	}
	source := fmt.Sprintf("deb [signed-by=%s by-hash=no] file:%s %s main\n", strings.Join(keys, ","), s.work, suite)
	err = errors.Join(err, os.WriteFile(s.copies("sources.list"), []byte(source), 0o600),
		os.WriteFile(s.copies("apt.conf"), fmt.Appendf(nil, aptConf, s.work), 0o600))
	if err == nil {
		_, err = s.apt(ctx, "--error-on=any", "update")
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
	digest, err := hashed(out, in, limit)
	return digest, errors.Join(err, out.Close())
}

// hashed copies at most limit bytes and gives their digest.
func hashed(to io.Writer, from io.Reader, limit int64) (string, error) {
	h := sha256.New()
	_, err := io.Copy(io.MultiWriter(to, h), io.LimitReader(from, limit))
	return hex.EncodeToString(h.Sum(nil)), err
}

// Status is dpkg's view of a package: its version, what is wanted ("install", "hold", …) and what is ("installed", …).
type Status struct{ Version, Want, Is string }

// installed gives every package that has files or unfinished work in the root, by name:arch.
func (s site) installed(ctx context.Context) (map[string]Status, error) {
	out, err := s.Run(ctx, s.root, "", io.Discard, "dpkg-query", "--show",
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

// checkBefore refuses (PLAN, HELD) where a root does not have what the order starts from.
func checkBefore(before map[string]Status, actions []warrant.Action) error {
	for _, a := range actions {
		s, installed := before[key(a)]
		if s.Want == "hold" {
			return fault.Refuse(fault.Held, "%s is on hold", a.Name)
		}
		if installed != (a.From != "") || installed && (s.Version != a.From || s.Is != "installed") {
			return fault.Refuse(fault.Plan, "%s: the order starts from %q, there is %q (%s)", key(a), a.From, s.Version, s.Is)
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

// rehearse gives the packages as they are. It refuses (PLAN, HELD) unless they are what the actions start from and apt, asked
// to simulate, would take exactly the steps of the actions, and asked for its URIs, exactly the copies: people signed no more
// of the index than its digest, and it might lead elsewhere.
func (s site) rehearse(ctx context.Context, actions []warrant.Action) (map[string]Status, error) {
	before, err := s.installed(ctx)
	if err == nil {
		err = checkBefore(before, actions)
	}
	if err != nil {
		return nil, err
	}
	simulation, err := s.apt(ctx, append([]string{"--simulate"}, arguments(actions)...)...)
	uris, urisErr := s.apt(ctx, append([]string{"--print-uris"}, arguments(actions)...)...)
	if err = errors.Join(err, urisErr); err != nil {
		return nil, fault.Refuse(fault.Plan, "%w", err)
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
		approved = append(approved, "Inst "+a.Name+from+to, "Conf "+a.Name+to, "file:"+filepath.Join(s.work, a.File))
	}
	slices.Sort(approved)
	slices.Sort(would)
	if slices.Equal(approved, would) {
		return before, nil
	}
	without := func(a, b []string) []string {
		return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
	}
	return nil, fault.Refuse(fault.Plan, "the host would do something else than was approved: it would %q, and not %q",
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
		text += fmt.Sprintf("# %s:%s %q -> %q %s in %s\n", p.Name, p.Arch, p.From, p.Now, p.Status, cmp.Or(p.Root, "/"))
	}
	_, err = s.File.WriteString(text)
	b, readErr := io.ReadAll(io.NewSectionReader(s, 0, 2*maxSession))
	return envelope.Digest(b), errors.Join(err, readErr, s.Sync(), s.Chmod(0o400))
}

func (s site) apt(ctx context.Context, args ...string) ([]byte, error) {
	log, err := s.session(s.order)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	fmt.Fprintf(log, "$ apt-get %s # in %s, %s\n", strings.Join(args, " "), cmp.Or(s.root, "/"), s.Now().Format(time.RFC3339))
	out, err := s.Run(ctx, s.root, filepath.Join(s.work, "apt.conf"), log, "apt-get", args...)
	if err != nil {
		fmt.Fprintf(log, "# %v\n", err)
	}
	return out, err
}

// inside are the capabilities that unpacking and scripts need in a root beside the host's own. None of them leads out of it. Linux
// has fewer than 64.
const inside = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID | 1<<unix.CAP_KILL |
	1<<unix.CAP_SETGID | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETFCAP | 1<<unix.CAP_AUDIT_WRITE

// Run runs a program without shell, terminal or input, in a fixed environment, and gives what it printed, also to log. With a root
// it is that root's program, in a chroot and without the capabilities by which one leaves it. The program dies with this
// process. It is the Config's Run, except in tests.
func Run(ctx context.Context, root, aptConf string, log io.Writer, name string, args ...string) ([]byte, error) {
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		"APT_CONFIG=" + aptConf}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, log), io.MultiWriter(&complaint, log)
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Chroot: root}
	cmd.WaitDelay = 10 * time.Second // a service that the packages started may keep the output open
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the program dies with the thread that started it, and the thread with what it gave up
		for c := range uintptr(64) {
			if root != "" && inside>>c&1 == 0 {
				if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL {
					ended <- fmt.Errorf("give up capability %d: %w", c, err)
					return
				}
			}
		}
		ended <- cmd.Run()
	}()
	err := <-ended
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return out.Bytes(), nil
	}
	tail := complaint.Bytes()[max(0, complaint.Len()-800):]
	return out.Bytes(), fault.Refuse(fault.Failed, "%s: %w: %q", strings.Join(args, " "), err, tail)
}
