package intake

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// Receipt is what importing did. It is the detail of the act source.received.
type Receipt struct {
	From       string `json:"from"`
	Bytes      int64  `json:"bytes"`
	Statements int    `json:"statements"`
	Signals    int    `json:"signals"`
	New        int    `json:"new"`     // advisories stated for the first time
	Changed    int    `json:"changed"` // advisories whose claims changed
	Gone       int    `json:"gone"`    // advisories no longer stated
	Digest     string `json:"-"`       // of the bytes, which are a fact from now on
	Unchanged  bool   `json:"-"`       // the same bytes as before: only the clock was set, there is no act
}

// refusal is the detail of the act source.refused.
type refusal struct {
	From   string `json:"from"`
	Bytes  int64  `json:"bytes"`
	Reason string `json:"reason"`
}

// Import takes a source's bytes from r; from says where they came from, for people. who is a person, or empty for the
// server itself. The bytes become a fact before they are read. What does not parse, is larger than the source may be, or
// states 5 % less than before is refused: fault.Invalid, the act source.refused and its alarm, and what was known stays
// in force. Failing to read r is no refusal; the freshness clock will tell.
func (in *Intake) Import(ctx context.Context, who, source string, r io.Reader, from string) (Receipt, error) {
	src, err := in.source(source)
	if err != nil {
		return Receipt{}, err
	}
	digest, size, err := in.Blobs.Put(ctx, io.LimitReader(r, src.MaxBytes+1))
	if err != nil {
		return Receipt{}, fmt.Errorf("receive %s: %w", source, err)
	}
	receipt := Receipt{From: clip(from), Bytes: size, Digest: digest}
	reading, err := in.parse(ctx, src, digest, size)
	if err == nil {
		err = in.receive(ctx, who, src, reading, &receipt)
	}
	if fault.KindOf(err) == fault.Invalid {
		if e := in.refuse(ctx, who, src, receipt, err); e != nil {
			return Receipt{}, e
		}
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("receive %s: %w", source, err)
	}
	return receipt, nil
}

func (in *Intake) parse(ctx context.Context, src Source, digest string, size int64) (Reading, error) {
	if size > src.MaxBytes {
		return Reading{}, fault.New(fault.Invalid, "larger than %d bytes, which is the most the source may have", src.MaxBytes)
	}
	f, err := in.Blobs.Open(ctx, digest)
	if err != nil {
		return Reading{}, err
	}
	defer f.Close()
	reading, err := src.Parse(f)
	if err != nil {
		return Reading{}, err
	}
	for i := range reading.Statements {
		reading.Statements[i].Source = src.Name
	}
	return reading, nil
}

// receive puts a reading in force.
func (in *Intake) receive(ctx context.Context, who string, src Source, reading Reading, receipt *Receipt) error {
	now, revisions := in.Now(), reading.advisories()
	return in.DB.Write(ctx, func(tx *db.Tx) error {
		state, _, err := loadSource(ctx, tx, src.Name)
		if err != nil {
			return err
		}
		receipt.Statements, receipt.Signals = len(reading.Statements), len(reading.Signals)
		receipt.Unchanged = state.Digest == receipt.Digest
		alarmed := !state.SilentAt.IsZero() || !state.RefusedAt.IsZero()
		counts := reading.counts()
		if err := shrunk(state.Counts, counts); err != nil {
			return err
		}
		before, err := loadRevisions(ctx, tx, src.Name)
		if err != nil {
			return err
		}
		changes := compareRevisions(before, revisions)
		receipt.New, receipt.Changed, receipt.Gone = changes.count()
		for _, c := range changes {
			if err := saveRevision(ctx, tx, src.Name, c, now); err != nil {
				return err
			}
		}
		if !receipt.Unchanged {
			state.Digest, state.From, state.Bytes, state.Counts, state.ReceivedAt = receipt.Digest, receipt.From, receipt.Bytes, counts, now
		}
		state.Name, state.CheckedAt, state.DueAt = src.Name, now, now.Add(src.MaxAge)
		state.SilentAt, state.RefusedAt, state.Refused = time.Time{}, time.Time{}, ""
		if err := saveSource(ctx, tx, state); err != nil {
			return err
		}
		if receipt.Unchanged && !alarmed {
			return nil
		}
		return in.act(ctx, tx, who, "source.received", src.Name, []string{receipt.Digest}, *receipt)
	})
}

// refuse records that bytes were refused; nothing else changes, the clock goes on.
func (in *Intake) refuse(ctx context.Context, who string, src Source, receipt Receipt, why error) error {
	now := in.Now()
	return in.DB.Write(ctx, func(tx *db.Tx) error {
		state, known, err := loadSource(ctx, tx, src.Name)
		if err != nil {
			return err
		}
		if !known {
			state = SourceState{Name: src.Name, DueAt: now.Add(src.MaxAge)}
		}
		state.RefusedAt, state.Refused = now, clip(why.Error())
		if err := saveSource(ctx, tx, state); err != nil {
			return err
		}
		return in.act(ctx, tx, who, "source.refused", src.Name, []string{receipt.Digest},
			refusal{From: receipt.From, Bytes: receipt.Bytes, Reason: clip(why.Error())})
	})
}

func (in *Intake) act(ctx context.Context, tx *db.Tx, who, kind, source string, facts []string, detail any) error {
	b, err := envelope.Encode(detail)
	if err != nil {
		return err
	}
	if who = "person/" + who; who == "person/" {
		who = "server"
	}
	_, err = in.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: "source/" + source, At: in.Now(), Who: who, Facts: facts,
		Detail: json.RawMessage(b)})
	return err
}

// counts are what shrunk compares: statements by release, signals under the empty name.
func (r Reading) counts() map[string]int {
	counts := make(map[string]int)
	for _, s := range r.Statements {
		counts[s.Release]++
	}
	if len(r.Signals) > 0 {
		counts[""] = len(r.Signals)
	}
	return counts
}

// shrunk refuses a reading that states over 5 % less than the one before about any release.
func shrunk(before, after map[string]int) error {
	for _, release := range slices.Sorted(maps.Keys(before)) {
		if old, now := before[release], after[release]; now*100 < old*95 {
			what := "statements about " + release
			if release == "" {
				what = "entries"
			}
			return fault.New(fault.Invalid, "shrank from %d to %d %s, by more than 5 %%; it looks truncated at the source", old, now, what)
		}
	}
	return nil
}

// revision is a change of what a source states about an advisory; an empty Digest: nothing any more.
type revision struct {
	ID, Digest string
	First      bool
}

type revisions []revision

func (r revisions) count() (first, changed, gone int) {
	for _, c := range r {
		switch {
		case c.Digest == "":
			gone++
		case c.First:
			first++
		default:
			changed++
		}
	}
	return first, changed, gone
}

// compareRevisions gives what changed, sorted by ID. before holds an empty digest for what is gone already.
func compareRevisions(before, after map[string]string) revisions {
	var changes revisions
	for id, digest := range after {
		if old, known := before[id]; old != digest {
			changes = append(changes, revision{id, digest, !known})
		}
	}
	for id, old := range before {
		if _, stated := after[id]; !stated && old != "" {
			changes = append(changes, revision{ID: id})
		}
	}
	slices.SortFunc(changes, func(a, b revision) int { return strings.Compare(a.ID, b.ID) })
	return changes
}

// clip bounds text that goes into rows, acts and messages.
func clip(s string) string {
	const most = 500
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
