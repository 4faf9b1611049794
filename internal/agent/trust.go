package agent

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// alarmAge is how old the newest checkpoint may be before the host alarms: whoever withholds work withholds these too.
const alarmAge = 24 * time.Hour

// loadRoot opens the newest trust root this host knows: the pinned one, whose quorum was verified at enrolment and whose
// digest is checked again, and those that followed.
func (a *Agent) loadRoot() error {
	var first envelope.Envelope
	if err := readJSON(a.places.firstRoot(), &first); err != nil {
		return fmt.Errorf("open trust root: %w", err)
	}
	pin, err := readFile(a.places.rootHash(), 100)
	if err != nil {
		return fmt.Errorf("open trust root: %w", err)
	}
	if envelope.Digest(first.Payload) != strings.TrimSpace(string(pin)) {
		return fault.New(fault.Denied, "%s is not the trust root that %s pins; enrol the host again", a.places.firstRoot(), a.places.rootHash())
	}
	root, err := trustroot.Decode(first.Payload)
	if err != nil {
		return fmt.Errorf("open trust root: %w", err)
	}
	var later []envelope.Envelope
	if err := readJSON(a.places.laterRoots(), &later); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open trust roots: %w", err)
	}
	if a.root, err = root.Follow(later); err != nil {
		return fmt.Errorf("open trust roots: %w", err)
	}
	a.later = later
	return nil
}

// follow takes over newer trust roots.
func (a *Agent) follow(roots []envelope.Envelope) error {
	if len(roots) == 0 {
		return nil
	}
	root, err := a.root.Follow(roots)
	if err != nil {
		return fmt.Errorf("follow the trust root: %w", err)
	}
	if root.Version == a.root.Version {
		return nil
	}
	later := a.later
	for _, e := range roots {
		if r, err := trustroot.Decode(e.Payload); err == nil && r.Version > a.root.Version {
			later = append(later, e)
		}
	}
	if err := writeJSON(a.places.laterRoots(), 0o644, later); err != nil {
		return err
	}
	a.log.Info("trust root advanced", "version", root.Version)
	a.root, a.later = root, later
	return nil
}

// witness takes over the server's checkpoint of the ledger: signed by the trust root's ledger key, and a continuation of
// the one seen before.
func (a *Agent) witness(answer *wire.CheckInAnswer) error {
	c, err := proof.OpenCheckpoint(answer.Checkpoint, a.root.Ledger.Keys, a.root.Ledger.Origin)
	if err != nil {
		return err
	}
	m := &a.memory
	if m.Log.Size > 0 {
		seen := proof.Checkpoint{Origin: c.Origin, Size: m.Log.Size}
		if _, err := hex.Decode(seen.Root[:], []byte(m.Log.Root)); err != nil {
			return fault.New(fault.Internal, "%s is damaged: log root", a.places.memory())
		}
		if err := proof.VerifyConsistency(seen, c, answer.Consistency); err != nil {
			return err
		}
	}
	m.Log = wire.LogSeen{Size: c.Size, Root: hex.EncodeToString(c.Root[:])}
	if c.At.After(m.CheckpointAt) {
		m.CheckpointAt = c.At
	}
	return nil
}

// judge decides what the host alarms about: the ledger it is shown, then its freshness. trouble is what witness said.
func judge(trouble error, newest, now time.Time) string {
	if code := fault.CodeOf(trouble); code != "" {
		return code
	}
	if now.Sub(newest) > alarmAge {
		return fault.Freeze
	}
	return ""
}
