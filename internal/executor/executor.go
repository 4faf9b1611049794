// Package executor is root's part on a host: it obeys one warrant, exactly, and reports with the host's own signature.
// Nothing it is given can name a command: it drives apt and dpkg with packages that people signed, and uses no shell.
package executor

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Config says where things are. Etc holds what root wrote at enrolment (host-id, environment, trust-root.json,
// trust-root.sha256) and may hold a local policy (executor.json); State is the executor's own; Carry is where the agent
// leaves the files of an order, in a directory named by its ID. Now gives UTC in whole microseconds; Run is Run.
type Config struct {
	Etc, State, Carry string
	Now               func() time.Time
	Run               func(ctx context.Context, root, aptConf string, log io.Writer, name string, args ...string) ([]byte, error)
}

// Executor obeys warrants on this host, one at a time.
type Executor struct {
	Config
	host, environment string
	root              *trustroot.Root
	key               ed25519.PrivateKey
	lock              *os.File
	memory
}

// memory is kept in state.json: of all warrants obeyed what Check needs, and the last run.
type memory struct {
	Sequence int64
	Latest   time.Time
	LogSize  int64
	LogRoot  string
	Root     *envelope.Envelope // the newest trust root, if newer than the pinned one
	Last     *run
}

// run is written before anything is changed, so that no order is ever run twice.
type run struct {
	Report warrant.Report // as far as it is known
	part
	More   []part             `json:",omitempty"` // in other roots, after the first
	Signed *envelope.Envelope // the report, once the run has ended
}

// part is what a run does in one root.
type part struct {
	Root    string `json:",omitempty"` // empty: the host's own
	Actions []warrant.Action
	Copies  []warrant.Copy `json:",omitempty"`
	Before  map[string]Status
}

func (r *run) parts() []part { return append([]part{r.part}, r.More...) }

// settleTime is how long a run that ended or was cut off may take to come to rest.
const settleTime = 15 * time.Minute

var errInterrupted = fault.Refuse(fault.Interrupted, "the run was cut off; packages and copies are as listed")

// Open reads the host's identity, trust root and memory, makes the report key at the first start, and waits for another
// executor on this host to end.
func Open(c Config) (*Executor, error) {
	key, err := ReportKey(c.State)
	if err != nil {
		return nil, fmt.Errorf("report key: %w", err)
	}
	x := &Executor{Config: c, key: key}
	x.lock, err = os.OpenFile(filepath.Join(c.State, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = syscall.Flock(int(x.lock.Fd()), syscall.LOCK_EX)
	}
	if err == nil {
		err = x.read()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start in %s: %w", c.State, err), x.lock.Close())
	}
	return x, nil
}

// Close lets the next executor work.
func (x *Executor) Close() error { return x.lock.Close() }

func (x *Executor) read() (err error) {
	var pinned string
	for name, to := range map[string]*string{"host-id": &x.host, "environment": &x.environment, "trust-root.sha256": &pinned} {
		b, err := os.ReadFile(filepath.Join(x.Etc, name))
		if *to = strings.TrimSpace(string(b)); err != nil || *to == "" {
			return fault.New(fault.Unavailable, "%s/%s is missing or empty: enrol this host", x.Etc, name)
		}
	}
	var root envelope.Envelope // verified when it came
	if err := readJSON(filepath.Join(x.Etc, "trust-root.json"), &root); err != nil {
		return err
	}
	if envelope.Digest(root.Payload) != pinned {
		return fault.Refuse(fault.RootChain, "%s/trust-root.json is not the trust root pinned at enrolment", x.Etc)
	}
	if err := readJSON(x.path("state.json"), &x.memory); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if x.Root != nil {
		root = *x.Root
	}
	x.root, err = trustroot.Decode(root.Payload)
	return err
}

func (x *Executor) path(names ...string) string {
	return filepath.Join(x.State, filepath.Join(names...))
}

// Obey does what a warrant gives leave to do, and gives the signed report. An order that was begun before is never begun
// again: its report is given again, after finding out what became of it if it was cut off. The error is about this host's
// own trouble; what is wrong with the warrant or the packages is said in the report.
func (x *Executor) Obey(ctx context.Context, document []byte) (envelope.Envelope, error) {
	r := warrant.Report{Host: x.host, BegunAt: x.Now(), Packages: []warrant.Observed{}}
	w, err := warrant.Parse(document)
	if err != nil {
		return x.refuse(r, err)
	}
	r.OrderDigest = envelope.Digest(w.Order.Payload)
	if o, err := warrant.DecodeOrder(w.Order.Payload); err == nil {
		r.Order = o.ID
	}
	if x.Last != nil && x.Last.Signed == nil {
		if err := x.finish(ctx, errInterrupted); err != nil {
			return envelope.Envelope{}, err
		}
	}
	if x.Last != nil && x.Last.Report.OrderDigest == r.OrderDigest {
		return *x.Last.Signed, nil
	}
	h := warrant.Host{ID: x.host, Environment: x.environment, Root: x.root, LastSequence: x.Sequence,
		LatestTime: x.Latest, LogSize: x.LogSize, Now: r.BegunAt}
	_, _ = hex.Decode(h.LogRoot[:], []byte(x.LogRoot)) // our own; a damaged one only makes the check fail
	leave, err := w.Check(h)
	if err == nil {
		err = x.permit(leave)
	}
	if err != nil {
		return x.refuse(r, err)
	}
	parts, err := x.prepare(ctx, leave)
	if err != nil {
		return x.refuse(r, err)
	}
	x.remember(w, leave, r.BegunAt)
	x.Last = &run{Report: r, part: parts[0], More: parts[1:]}
	if err := x.save(); err != nil {
		return envelope.Envelope{}, err
	}
	if err := x.finish(ctx, x.transact(ctx)); err != nil {
		return envelope.Envelope{}, err
	}
	return *x.Last.Signed, nil
}

// permit asks the local policy, executor.json: it can only narrow what warrants allow. A list of classes or environments that
// is empty allows all, one of roots none but the host's own; a policy that cannot be read allows nothing.
func (x *Executor) permit(l *warrant.Leave) error {
	var policy struct{ Classes, Environments, Roots []string }
	err := readJSON(filepath.Join(x.Etc, "executor.json"), &policy)
	allows := func(list []string, word string) bool { return len(list) == 0 || slices.Contains(list, word) }
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fault.Refuse(fault.Policy, "local policy: %w", err)
	case !allows(policy.Classes, l.Order.Class) || !allows(policy.Environments, l.Order.Environment):
		return fault.Refuse(fault.Policy, "the local policy does not allow class %s in %s", l.Order.Class, l.Order.Environment)
	}
	for _, t := range l.Transactions {
		switch {
		case len(t.Actions)+len(t.Copies) == 0:
			return fault.Refuse(fault.Class, "order %s of class %s changes nothing", l.Order.ID, l.Order.Class)
		case t.Root != "" && (!slices.Contains(policy.Roots, t.Root) || !safe(t.Root)):
			return fault.Refuse(fault.ForeignRoot, "%s/executor.json does not name root %s, or others than root can change its path", x.Etc, t.Root)
		}
	}
	return nil
}

// prepare brings the host to where only the last steps are missing, and gives the packages as they are. It refuses unless
// in each root the package manager would do the transaction and nothing else. Source: R-604.
func (x *Executor) prepare(ctx context.Context, l *warrant.Leave) (parts []part, err error) {
	err = os.RemoveAll(x.path("sessions", l.Order.ID))
	for _, t := range l.Transactions {
		s, p := x.site(l.Order.ID, t.Root), part{Root: t.Root, Actions: t.Actions, Copies: t.Copies}
		if err == nil && len(t.Actions) > 0 {
			if err = s.takeOver(ctx, l, t.Actions); err == nil {
				p.Before, err = s.rehearse(ctx, t.Actions)
			}
		}
		if err == nil {
			err = s.each(t.Copies, starts)
		}
		if parts = append(parts, p); err == nil {
			continue
		}
		for _, p := range parts {
			err = errors.Join(err, os.RemoveAll(x.site(l.Order.ID, p.Root).copies()))
		}
		return nil, fmt.Errorf("in %s: %w", cmp.Or(t.Root, "/"), err)
	}
	return parts, nil
}

// transact does the transactions. A root that changed while those before it were done is left as it is, and so are those after.
func (x *Executor) transact(ctx context.Context) error {
	for i, p := range x.Last.parts() {
		s := x.site(x.Last.Report.Order, p.Root)
		if i > 0 && len(p.Actions) > 0 {
			now, err := s.rehearse(ctx, p.Actions)
			if err == nil && !maps.Equal(now, p.Before) {
				err = fault.Refuse(fault.Plan, "the packages in %s have changed since they were looked at", p.Root)
			}
			if err != nil {
				return err
			}
		}
		if len(p.Actions) > 0 {
			if _, err := s.apt(ctx, arguments(p.Actions)...); err != nil {
				return err
			}
		}
		if err := s.each(p.Copies, starts, lay, take); err != nil {
			return err
		}
	}
	return nil
}

func (x *Executor) remember(w *warrant.Warrant, l *warrant.Leave, now time.Time) {
	x.Sequence, x.Latest, x.LogSize, x.LogRoot = l.Order.Sequence, now, l.Checkpoint.Size, hex.EncodeToString(l.Checkpoint.Root[:])
	if l.Checkpoint.At.After(now) {
		x.Latest = l.Checkpoint.At
	}
	for _, e := range w.Roots {
		if envelope.Digest(e.Payload) == l.Root.Digest() {
			x.Root = &e
		}
	}
}

// finish finds out what became of the last run, seals its session and keeps the signed report. A run that was cut off is
// done if all packages in its roots are exactly as planned.
func (x *Executor) finish(ctx context.Context, ran error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	r, cutOff, exact, err := x.Last.Report, ran == errInterrupted, true, error(nil)
	for _, p := range x.Last.parts() {
		s, after, unknown := x.site(r.Order, p.Root), map[string]Status(nil), error(nil)
		if len(p.Actions) > 0 {
			_, _ = s.apt(ctx, "check") // waits for the locks of what a killed apt may have left running
			after, unknown = s.installed(ctx)
		}
		exact = exact && unknown == nil && asPlanned(p.Before, after, p.Actions)
		err = errors.Join(err, unknown, os.RemoveAll(s.copies()))
		for _, a := range p.Actions {
			is := after[key(a)]
			r.Packages = append(r.Packages, warrant.Observed{Root: p.Root, Name: a.Name, Arch: a.Arch, From: a.From, To: a.To, Now: is.Version, Status: is.Is})
		}
		for _, c := range p.Copies {
			now, _ := s.at(c, tidy)
			exact = exact && now == c.To
			r.Packages = append(r.Packages, warrant.Observed{Root: p.Root, Name: c.Path, From: c.From, To: c.To, Now: now, Status: "copy"})
		}
	}
	if ran == nil && !exact {
		ran = fault.Refuse(fault.Failed, "the packages or copies are not as planned")
	}
	switch {
	case exact && (ran == nil || cutOff):
		r.Outcome = warrant.Done
	case cutOff:
		r.Outcome = warrant.Interrupted
	default:
		r.Outcome = warrant.RunFailed
	}
	if r.Outcome != warrant.Done {
		r.Code, r.Reason = fault.CodeOf(ran), reason(errors.Join(ran, err))
	}
	if r.Session, err = x.seal(r); err != nil {
		return err
	}
	e, err := x.sign(r)
	if err != nil {
		return err
	}
	x.Last.Signed = &e
	return x.save()
}

func (x *Executor) refuse(r warrant.Report, why error) (envelope.Envelope, error) {
	r.Outcome, r.Code, r.Reason = warrant.Refused, fault.CodeOf(why), reason(why)
	if r.Code == "" {
		r.Code = fault.Failed
	}
	return x.sign(r)
}

// reason is an error as a report tells it: at most 2,000 bytes.
func reason(err error) string {
	s := err.Error()
	return s[:min(len(s), 2000)]
}

func (x *Executor) sign(r warrant.Report) (envelope.Envelope, error) {
	r.EndedAt, r.LogSize, r.LogRoot = x.Now(), x.LogSize, x.LogRoot
	payload, err := r.Encode()
	signature := envelope.SignEd25519(x.key, warrant.ReportType, payload)
	return envelope.Envelope{PayloadType: warrant.ReportType, Payload: payload, Signatures: []envelope.Signature{signature}}, err
}

// ReportKey reads the report key of the executor whose state is in dir, or makes it: the seed in report.key for root
// alone, the base64 public key in report.pub for all.
func ReportKey(dir string) (ed25519.PrivateKey, error) {
	secret, seed := filepath.Join(dir, "report.key"), []byte(nil)
	err := errors.Join(os.MkdirAll(dir, 0o711), readJSON(secret, &seed))
	if errors.Is(err, os.ErrNotExist) {
		seed = make([]byte, ed25519.SeedSize)
		rand.Read(seed)
		err = writeJSON(secret, 0o600, seed)
	}
	if err == nil && len(seed) != ed25519.SeedSize {
		err = fault.New(fault.Internal, "%s is damaged", secret)
	}
	if err != nil {
		return nil, err
	}
	key := ed25519.NewKeyFromSeed(seed)
	public := base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	return key, write(filepath.Join(dir, "report.pub"), 0o644, []byte(public+"\n"))
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fault.New(fault.Internal, "%s is damaged: %w", path, err)
	}
	return nil
}

func writeJSON(path string, mode os.FileMode, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return write(path, mode, b)
}

func (x *Executor) save() error { return writeJSON(x.path("state.json"), 0o600, x.memory) }

// write puts b in place of what was at path, durably: after a crash there are the old or the new bytes.
func write(path string, mode os.FileMode, b []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(os.Rename(path+".new", path), dir.Sync(), dir.Close())
}
