package executor

import (
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

// state is what the host remembers of the warrants it obeyed.
type state struct {
	Sequence int64               `json:"sequence"`
	Latest   time.Time           `json:"latest"`
	LogSize  int64               `json:"log_size"`
	LogRoot  string              `json:"log_root"`
	Roots    []envelope.Envelope `json:"roots"` // the newest trust root seen, if newer than the pinned one
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
	Report  warrant.Report    `json:"report"` // as far as it was known
	Actions []warrant.Action  `json:"actions"`
	Before  map[string]Status `json:"before"`
	State   state             `json:"state"` // to be kept with it
}

// Open reads the host's identity, trust root and state, makes the report key at the first start, and waits for another
// executor on this host to end.
func Open(c Config) (*Executor, error) {
	key, err := ReportKey(c.State)
	if err != nil {
		return nil, fmt.Errorf("report key: %w", err)
	}
	x := &Executor{Config: c, key: key}
	lock, err := os.OpenFile(filepath.Join(c.State, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX) // held until the process ends
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", c.State, err)
	}
	var pinned string
	for name, to := range map[string]*string{"host-id": &x.host, "environment": &x.environment, "trust-root.sha256": &pinned} {
		b, err := os.ReadFile(filepath.Join(c.Etc, name))
		if *to = strings.TrimSpace(string(b)); err != nil || *to == "" {
			return nil, fault.New(fault.Unavailable, "%s/%s is missing or empty: enrol this host", c.Etc, name)
		}
	}
	if err := readJSON(filepath.Join(c.State, "state.json"), &x.state); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read state: %w", err)
	}
	if err := x.readRoot(pinned); err != nil {
		return nil, fmt.Errorf("read trust root: %w", err)
	}
	return x, nil
}

// readRoot takes the newest root seen, or the pinned one. Both were verified when they came.
func (x *Executor) readRoot(pinned string) (err error) {
	var e envelope.Envelope
	if len(x.state.Roots) > 0 {
		e = x.state.Roots[0]
	} else if err = readJSON(filepath.Join(x.Etc, "trust-root.json"), &e); err != nil {
		return err
	} else if envelope.Digest(e.Payload) != pinned {
		return fault.Refuse(fault.RootChain, "%s/trust-root.json is not the trust root pinned at enrolment", x.Etc)
	}
	x.root, err = trustroot.Decode(e.Payload)
	return err
}

func (x *Executor) self(now time.Time) warrant.Host {
	h := warrant.Host{ID: x.host, Environment: x.environment, Root: x.root, LastSequence: x.state.Sequence,
		LatestTime: x.state.Latest, LogSize: x.state.LogSize, Now: now}
	hex.Decode(h.LogRoot[:], []byte(x.state.LogRoot)) // state.json is our own; a damaged root only makes the check fail
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

// session opens the record of an order: the commands and what they printed.
func (x *Executor) session(r warrant.Report) (*os.File, error) {
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
	text := fmt.Sprintf("# %s %s %s\n", r.Outcome, r.Code, r.Reason)
	for _, p := range r.Packages {
		text += notice(p)
	}
	if _, err := f.WriteString(text); err != nil {
		return "", err
	}
	if err := errors.Join(f.Sync(), f.Chmod(0o400)); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	return envelope.Digest(b), err
}

// ReportKey reads the report key of the executor whose state is in dir, or makes it: the seed in report.key for root
// alone, the base64 public key in report.pub for all.
func ReportKey(dir string) (ed25519.PrivateKey, error) {
	secret, public := filepath.Join(dir, "report.key"), filepath.Join(dir, "report.pub")
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(secret)
	if errors.Is(err, os.ErrNotExist) {
		seed := make([]byte, ed25519.SeedSize)
		rand.Read(seed)
		text = []byte(base64.StdEncoding.EncodeToString(seed) + "\n")
		err = writeFile(secret, 0o600, text)
	}
	if err != nil {
		return nil, err
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fault.New(fault.Internal, "%s is damaged", secret)
	}
	key := ed25519.NewKeyFromSeed(seed)
	if _, err := os.Stat(public); err == nil {
		return key, nil
	}
	return key, writeFile(public, 0o644, []byte(base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))+"\n"))
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
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
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
