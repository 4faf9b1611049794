package executor

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	Run               func(ctx context.Context, aptConf string, log io.Writer, name string, args ...string) ([]byte, error)
}

// state is what the host remembers of the warrants it obeyed.
type state struct {
	Sequence int64
	Latest   time.Time
	LogSize  int64
	LogRoot  string
	Roots    []envelope.Envelope // the newest trust root seen, if newer than the pinned one
}

func (s state) after(w *warrant.Warrant, l *warrant.Leave, now time.Time) state {
	next := state{l.Order.Sequence, now, l.Checkpoint.Size, hex.EncodeToString(l.Checkpoint.Root[:]), s.Roots}
	if l.Checkpoint.At.After(now) {
		next.Latest = l.Checkpoint.At
	}
	for _, e := range w.Roots {
		if envelope.Digest(e.Payload) == l.Root.Digest() {
			next.Roots = []envelope.Envelope{e}
		}
	}
	return next
}

// journal is written before a run changes anything, so that it is never run twice.
type journal struct {
	Report  warrant.Report // as far as it was known
	Actions []warrant.Action
	Before  map[string]Status
	State   state // to be kept with it
}

// Open reads the host's identity, trust root and state, makes the report key at the first start, and waits for another
// executor on this host to end.
func Open(c Config) (*Executor, error) {
	reportKey, err := ReportKey(c.State)
	if err != nil {
		return nil, fmt.Errorf("report key: %w", err)
	}
	x := &Executor{Config: c, key: reportKey}
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

func (x *Executor) read() (err error) {
	var pinned string
	for name, to := range map[string]*string{"host-id": &x.host, "environment": &x.environment, "trust-root.sha256": &pinned} {
		b, err := os.ReadFile(filepath.Join(x.Etc, name))
		if *to = strings.TrimSpace(string(b)); err != nil || *to == "" {
			return fault.New(fault.Unavailable, "%s/%s is missing or empty: enrol this host", x.Etc, name)
		}
	}
	if err := readJSON(filepath.Join(x.State, "state.json"), &x.state); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read state: %w", err)
	}
	var e envelope.Envelope // verified when it came
	if len(x.state.Roots) > 0 {
		e = x.state.Roots[0]
	} else if err := readJSON(filepath.Join(x.Etc, "trust-root.json"), &e); err != nil {
		return fmt.Errorf("read trust root: %w", err)
	} else if envelope.Digest(e.Payload) != pinned {
		return fault.Refuse(fault.RootChain, "%s/trust-root.json is not the trust root pinned at enrolment", x.Etc)
	}
	x.root, err = trustroot.Decode(e.Payload)
	return err
}

// Close lets the next executor work.
func (x *Executor) Close() error { return x.lock.Close() }

func (x *Executor) self(now time.Time) warrant.Host {
	h := warrant.Host{ID: x.host, Environment: x.environment, Root: x.root, LastSequence: x.state.Sequence,
		LatestTime: x.state.Latest, LogSize: x.state.LogSize, Now: now}
	hex.Decode(h.LogRoot[:], []byte(x.state.LogRoot)) // our own; a damaged one only makes the check fail
	return h
}

func (x *Executor) path(order, name string) string {
	return filepath.Join(x.State, "sessions", order, name)
}

// begin makes the journal durable, then the state: from here on the order is never begun again.
func (x *Executor) begin(j journal) error {
	err := writeJSON(x.path(j.Report.Order, "begun.json"), j)
	if err = errors.Join(err, syncDir(filepath.Join(x.State, "sessions")), syncDir(x.State)); err != nil {
		return err
	}
	if j.State.Sequence <= x.state.Sequence {
		return nil // a run that was cut off after its state was kept
	}
	x.state = j.State
	return writeJSON(filepath.Join(x.State, "state.json"), j.State)
}

// openSession opens the record of an order: the commands and what they printed. Source: R-705.
func (x *Executor) openSession(r warrant.Report) (*os.File, error) {
	path := x.path(r.Order, "session.log")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err == nil {
		_, err = fmt.Fprintf(f, "# order %s %s on host %s at %s\n", r.Order, r.OrderDigest, r.Host, x.Now().Format(time.RFC3339))
	}
	return f, err
}

// seal closes the record with old and new versions, makes it durable and read-only, and gives its digest.
func seal(f *os.File, r warrant.Report) (string, error) {
	fmt.Fprintf(f, "# %s %s %s\n", r.Outcome, r.Code, r.Reason)
	for _, p := range r.Packages {
		fmt.Fprintf(f, "# %s:%s %q -> %q %s\n", p.Name, p.Arch, p.From, p.Now, p.Status)
	}
	err := errors.Join(f.Sync(), f.Chmod(0o400))
	b, readErr := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	return envelope.Digest(b), errors.Join(err, readErr)
}

// ReportKey reads the report key of the executor whose state is in dir, or makes it: the seed in report.key for root
// alone, the base64 public key in report.pub for all.
func ReportKey(dir string) (ed25519.PrivateKey, error) {
	secret, seed := filepath.Join(dir, "report.key"), make([]byte, ed25519.SeedSize)
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, err
	}
	err := readJSON(secret, &seed)
	if errors.Is(err, os.ErrNotExist) {
		rand.Read(seed)
		err = writeJSON(secret, seed)
	}
	if err == nil && len(seed) != ed25519.SeedSize {
		err = fault.New(fault.Internal, "%s is damaged", secret)
	}
	if err != nil {
		return nil, err
	}
	key := ed25519.NewKeyFromSeed(seed)
	public := base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)) + "\n"
	return key, writeFile(filepath.Join(dir, "report.pub"), 0o644, []byte(public))
}

func readJSON(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fault.New(fault.Internal, "%s is damaged: %w", path, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFile(path, 0o600, b)
}

// writeFile puts b in place of what was at path, durably: after a crash there are the old or the new bytes.
func writeFile(path string, mode os.FileMode, b []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	return errors.Join(err, syncDir(filepath.Dir(path)))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
