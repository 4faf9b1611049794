// Package proof says what an entry of the ledger is (an act) and how its presence is proved without the ledger: signed
// checkpoints and inclusion and consistency proofs in C2SP forms (tlog-checkpoint, tlog-proof).
package proof

import (
	"encoding/json"
	"time"
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
