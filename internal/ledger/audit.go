package ledger

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// Report is what an audit of the whole ledger found. No findings means that the ledger is whole.
type Report struct {
	Size     int64    // entries replayed
	Root     string   // of the tree recomputed from them, lower hex
	Findings []string // at most maxFindings, in the order of the log
}

const (
	maxFindings = 100
	auditBatch  = 1000 // entries read at once
)

// Audit replays the whole ledger over one state of the database: that no entry is missing, that each is canonical and
// says what its columns say, that Prev names the act before it on its subject, that the stored hashes are those of the
// entries, and that the latest checkpoint and the guard file stand on them. progress (or nil) hears how far it is.
func (l *Ledger) Audit(ctx context.Context, progress func(done, total int64)) (Report, error) {
	var a audit
	err := l.DB.Read(ctx, func(tx *db.Tx) error {
		a = audit{heads: map[string]int64{}}
		n, err := size(ctx, tx)
		if err != nil {
			return err
		}
		if err := l.expect(ctx, tx, &a, n); err != nil {
			return err
		}
		for from := int64(0); from < n; from += auditBatch {
			to := min(from+auditBatch, n)
			if err := a.replay(ctx, tx, from, to); err != nil {
				return err
			}
			if progress != nil {
				progress(to, n)
			}
		}
		outside, err := stray(ctx, tx, n)
		if outside > 0 {
			a.found("%d acts or hashes stand outside the log of %d entries", outside, n)
		}
		return err
	})
	if err != nil {
		return Report{}, fmt.Errorf("audit ledger: %w", err)
	}
	root := a.root()
	return Report{Size: a.size, Root: hex.EncodeToString(root[:]), Findings: a.findings}, nil
}

// expect notes at which sizes what was signed must be met.
func (l *Ledger) expect(ctx context.Context, tx *db.Tx, a *audit, n int64) error {
	text, err := checkpoint(ctx, tx)
	if err != nil {
		return err
	}
	was, err := l.latest(text)
	if err != nil {
		a.found("%v", err)
	}
	for i, c := range was {
		name := []string{"the latest checkpoint", "the guard file"}[i]
		if c.Size > n {
			a.found("%s covers %d entries, the log has %d", name, c.Size, n)
		}
		a.signed = append(a.signed, signed{name, c})
	}
	a.meet()
	return nil
}

type signed struct {
	name string
	proof.Checkpoint
}

// audit is the state of a replay: the roots of the full subtrees so far, largest first, and the latest act by subject.
type audit struct {
	size     int64
	edge     []tlog.Hash
	heads    map[string]int64
	signed   []signed
	findings []string
}

func (a *audit) found(format string, args ...any) {
	if len(a.findings) < maxFindings {
		a.findings = append(a.findings, fmt.Sprintf(format, args...))
	}
}

func (a *audit) replay(ctx context.Context, tx *db.Tx, from, to int64) error {
	rows, err := entries(ctx, tx, from, to)
	if err != nil {
		return err
	}
	stored, err := hashRange(ctx, tx, tlog.StoredHashCount(from), tlog.StoredHashCount(to))
	if err != nil {
		return err
	}
	byID := make(map[int64][]byte, len(stored))
	for _, h := range stored {
		byID[h.id] = h.hash
	}
	for index := from; index < to; index++ {
		if len(rows) == 0 || rows[0].index != index {
			a.found("entry %d is missing", index)
			a.add(index, nil, byID)
			continue
		}
		a.check(rows[0])
		a.add(index, rows[0].entry, byID)
		rows = rows[1:]
	}
	return nil
}

// check looks at one entry by itself and against those before it.
func (a *audit) check(r row) {
	e, err := r.open()
	if err != nil {
		a.found("%v", err)
		return
	}
	if e.Act.Kind != r.kind || e.Act.Subject != r.subject {
		a.found("entry %d is listed as %s on %s, but is %s on %s", r.index, r.kind, r.subject, e.Act.Kind, e.Act.Subject)
	}
	before, ok := a.heads[e.Act.Subject]
	if !ok {
		before = -1
	}
	if e.Act.Prev != before {
		a.found("entry %d on %s names %d as the act before it, not %d", r.index, e.Act.Subject, e.Act.Prev, before)
	}
	a.heads[e.Act.Subject] = r.index
}

// add adds a leaf to the tree and compares the hashes it completes with the stored ones.
func (a *audit) add(index int64, leaf []byte, stored map[int64][]byte) {
	id := tlog.StoredHashIndex(0, index)
	h := tlog.RecordHash(leaf)
	for n := index; ; n >>= 1 {
		if !bytes.Equal(stored[id], h[:]) {
			a.found("stored hash %d is not that of the entries up to %d", id, index)
		}
		if n&1 == 0 {
			break
		}
		h = tlog.NodeHash(a.edge[len(a.edge)-1], h)
		a.edge = a.edge[:len(a.edge)-1]
		id++
	}
	a.edge = append(a.edge, h)
	a.size++
	a.meet()
}

// meet compares the tree with what was signed at its present size.
func (a *audit) meet() {
	for _, s := range a.signed {
		if s.Size == a.size && a.root() != s.Root {
			a.found("the first %d entries are not those of %s", s.Size, s.name)
		}
	}
}

func (a *audit) root() tlog.Hash {
	if len(a.edge) == 0 {
		h, _ := tlog.TreeHash(0, nil) // the empty tree has no hashes to read
		return h
	}
	h := a.edge[len(a.edge)-1]
	for i := len(a.edge) - 2; i >= 0; i-- {
		h = tlog.NodeHash(a.edge[i], h)
	}
	return h
}

// SelfAudit is the sweep that audits the ledger and writes into it what it found. Findings are an error besides.
func (l *Ledger) SelfAudit(ctx context.Context) error {
	report, err := l.Audit(ctx, nil)
	if err != nil {
		return err
	}
	detail, err := json.Marshal(struct {
		Size     int64    `json:"size"`
		Root     string   `json:"root"`
		Findings []string `json:"findings"`
	}{report.Size, report.Root, report.Findings[:min(len(report.Findings), 10)]})
	if err != nil {
		return err
	}
	err = l.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := l.Append(ctx, tx, proof.Act{Kind: "ledger.audited", Subject: "ledger/" + l.Origin, Who: "server", Detail: detail})
		return err
	})
	if err == nil && len(report.Findings) > 0 {
		err = fault.New(fault.Conflict, "the ledger is not whole: %s", strings.Join(report.Findings, "; "))
	}
	return err
}
