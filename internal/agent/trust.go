package agent

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
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

// publication is the newest state of its channel of the repository that the host was shown.
type publication struct {
	Digest     string    `json:"digest"` // of the release file
	Suite      string    `json:"suite"`  // the channel
	Version    int64     `json:"version"`
	Date       time.Time `json:"date"`
	ValidUntil time.Time `json:"valid_until"`
}

// skew is by how much the server's clock may be ahead of the host's.
const skew = 5 * time.Minute

// follows takes over the release file of the host's channel: by the trust root's repository key, for this host's environment, and of no
// lower version and no earlier date than the one before. Whoever holds a patch back by an older repository is found out here, or, if
// nothing is shown any more, when the last one has lost its validity.
func (a *Agent) follows(release []byte) error {
	if len(release) == 0 {
		return nil
	}
	ring, err := pgp.LoadKeyring([]byte(strings.Join(a.root.Repository.Keys, "\n")))
	if err != nil {
		return fmt.Errorf("the trust root's repository keys: %w", err)
	}
	text, _, err := pgp.VerifyClearsigned(release, ring, ring.Fingerprints(), a.now().Add(skew))
	if err != nil {
		return fmt.Errorf("the repository's release file: %w", err)
	}
	r, err := deb.ParseRelease(text)
	if err != nil {
		return err
	}
	version, err := strconv.ParseInt(r.Version, 10, 64)
	if err != nil || r.ValidUntil.IsZero() {
		return fault.New(fault.Invalid, "the repository's release file is of no channel of ours")
	}
	environment, err := readFile(a.places.environment(), 100)
	if err != nil {
		return fmt.Errorf("read environment: %w", err)
	}
	if mine := strings.TrimSpace(string(environment)); r.Suite != mine {
		return fault.Refuse(fault.Environment, "the release file is of channel %.40q, this host follows %s", r.Suite, mine)
	}
	was, now := a.memory.Published, publication{envelope.Digest(release), r.Suite, version, r.Date, r.ValidUntil}
	if now.Suite == was.Suite && (now.Version < was.Version || !now.Date.After(was.Date) && now.Digest != was.Digest) {
		return fault.Refuse(fault.RepoRollback, "the repository went back: version %d of %s, after version %d of %s was seen", now.Version,
			now.Date.Format(time.RFC3339), was.Version, was.Date.Format(time.RFC3339))
	}
	a.memory.Published = now
	return nil
}

// judge decides what the host alarms about: what it was shown last, then the freshness of the ledger and of the repository. trouble is
// what was wrong with what it was shown.
func (m *memory) judge(trouble error, now time.Time) string {
	if code := fault.CodeOf(trouble); code != "" {
		return code
	}
	if now.Sub(m.CheckpointAt) > alarmAge || !m.Published.ValidUntil.IsZero() && now.After(m.Published.ValidUntil) {
		return fault.Freeze
	}
	return ""
}
