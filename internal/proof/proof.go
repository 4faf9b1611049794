// Package proof says what an entry of the ledger is (an act) and how its presence is proved without the ledger: signed
// checkpoints and inclusion and consistency proofs in C2SP forms (tlog-checkpoint, tlog-proof).
package proof

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Act is one entry of the ledger; its canonical encoding (envelope.Encode) is the leaf. At most 60,000 bytes.
type Act struct {
	Kind    string          `json:"kind"`    // dotted, e.g. "order.warranted"
	Subject string          `json:"subject"` // e.g. "order/ord_…"
	Prev    int64           `json:"prev"`    // index of the previous act on the same subject; -1 for the first
	At      time.Time       `json:"at"`      // UTC, microseconds
	Who     string          `json:"who"`     // "person/alice", "host/hst_…", "server"
	Facts   []string        `json:"facts,omitempty"`
	Detail  json.RawMessage `json:"detail,omitempty"` // a canonical JSON object
}

// Checkpoint is an opened C2SP checkpoint of our log. At is carried as an extension line "at <RFC 3339 UTC seconds>".
type Checkpoint struct {
	Origin string
	Size   int64
	Root   [32]byte
	At     time.Time
}

// Logged proves that an act is in the log: the leaf bytes, its index, the audit path, the signed checkpoint.
type Logged struct {
	Entry      []byte   `json:"entry"`
	Index      int64    `json:"index"`
	Hashes     [][]byte `json:"hashes"`
	Checkpoint string   `json:"checkpoint"`
}

// Bounds of foreign proofs.
const (
	MaxEntry      = 60_000  // bytes of one act
	maxCheckpoint = 16_384  // bytes of a signed checkpoint
	maxHashes     = 63      // hashes of one proof
	maxSize       = 1 << 48 // acts in a log
)

// FormatCheckpoint gives the text of a checkpoint, the part that note.Sign signs. Source: C2SP tlog-checkpoint.
func FormatCheckpoint(c Checkpoint) string {
	root := base64.StdEncoding.EncodeToString(c.Root[:])
	return fmt.Sprintf("%s\n%d\n%s\nat %s\n", c.Origin, c.Size, root, c.At.UTC().Format(time.RFC3339))
}

// OpenCheckpoint verifies a signed checkpoint: at least one signature by one of vkeys (note verifier keys), the origin,
// and exactly the form of FormatCheckpoint. Signatures by others, such as witnesses, may stand beside it.
func OpenCheckpoint(text string, vkeys []string, origin string) (Checkpoint, error) {
	c, err := openCheckpoint(text, vkeys)
	if err == nil && c.Origin != origin {
		err = fmt.Errorf("it is of log %q", c.Origin)
	}
	if err != nil {
		return Checkpoint{}, fault.Refuse(fault.Unlogged, "open checkpoint of %q: %w", origin, err)
	}
	return c, nil
}

func openCheckpoint(text string, vkeys []string) (c Checkpoint, err error) {
	if len(text) > maxCheckpoint {
		return c, fmt.Errorf("%d bytes are over the limit of %d", len(text), maxCheckpoint)
	}
	verifiers := make([]note.Verifier, len(vkeys))
	for i, k := range vkeys {
		if verifiers[i], err = note.NewVerifier(k); err != nil {
			return c, fmt.Errorf("verifier key: %w", err)
		}
	}
	n, err := note.Open([]byte(text), note.VerifierList(verifiers...))
	if err != nil {
		return c, err
	}
	var root, at string
	if _, err := fmt.Sscanf(n.Text, "%s\n%d\n%s\nat %s\n", &c.Origin, &c.Size, &root, &at); err != nil {
		return c, fmt.Errorf("want four lines: origin, size, root, at: %w", err)
	}
	hash, err := base64.StdEncoding.DecodeString(root)
	copy(c.Root[:], hash)
	if c.At, _ = time.Parse(time.RFC3339, at); err != nil || c.Size < 0 || c.Size > maxSize || FormatCheckpoint(c) != n.Text {
		return c, errors.New("not in canonical form")
	}
	return c, nil
}

// Verify checks that the entry is in the log that vkeys sign for origin, and gives the act and the checkpoint that proves
// it. Refusals have the code UNLOGGED.
func (l Logged) Verify(vkeys []string, origin string) (Act, Checkpoint, error) {
	var a Act
	c, err := OpenCheckpoint(l.Checkpoint, vkeys, origin)
	if err != nil {
		return Act{}, Checkpoint{}, err
	}
	path, err := hashes(l.Hashes)
	if err == nil && len(l.Entry) > MaxEntry {
		err = fmt.Errorf("%d bytes are over the limit of %d", len(l.Entry), MaxEntry)
	}
	if err == nil {
		err = tlog.CheckRecord(path, c.Size, c.Root, l.Index, tlog.RecordHash(l.Entry))
	}
	if err == nil {
		err = envelope.Decode(l.Entry, &a)
	}
	if err != nil {
		return Act{}, Checkpoint{}, fault.Refuse(fault.Unlogged, "verify entry %d of log %q: %w", l.Index, origin, err)
	}
	return a, c, nil
}

// VerifyConsistency checks that the log at checkpoint new begins with the whole log at checkpoint old, of the same
// origin. Refusals have the code LOG-ROLLBACK.
func VerifyConsistency(old, new Checkpoint, path [][]byte) error {
	p, err := hashes(path)
	switch {
	case err == nil && old.Origin != new.Origin:
		err = fmt.Errorf("origins %q and %q differ", old.Origin, new.Origin)
	case err == nil && (old.Size != 0 || len(p) != 0):
		err = tlog.CheckTree(p, new.Size, new.Root, old.Size, old.Root)
	}
	if err != nil {
		return fault.Refuse(fault.LogRollback, "verify that log of %d acts continues log of %d: %w", new.Size, old.Size, err)
	}
	return nil
}

func hashes(path [][]byte) ([]tlog.Hash, error) {
	if len(path) > maxHashes {
		return nil, fmt.Errorf("proof of %d hashes is over the limit of %d", len(path), maxHashes)
	}
	out := make([]tlog.Hash, len(path))
	for i, h := range path {
		if copy(out[i][:], h) != len(h) || len(h) != tlog.HashSize {
			return nil, fmt.Errorf("hash %d is not of %d bytes", i, tlog.HashSize)
		}
	}
	return out, nil
}
