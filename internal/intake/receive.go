package intake

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// Receipt is what importing did. It is the detail of the act source.received.
type Receipt struct {
	From       string `json:"from"`
	Bytes      int64  `json:"bytes"`
	Statements int    `json:"statements"`
	Signals    int    `json:"signals"`
	Support    int    `json:"support,omitempty"`
	New        int    `json:"new"`     // advisories stated for the first time
	Changed    int    `json:"changed"` // advisories whose claims changed
	Gone       int    `json:"gone"`    // advisories no longer stated
	Digest     string `json:"-"`       // of the bytes, or of a collection's index, which are a fact from now on
	Unchanged  bool   `json:"-"`       // the same bytes as before: only the clock was set, there is no act

	// Of a collection: what is in force, of how many documents the last bytes were refused, and how many other files came.
	Documents        int `json:"documents,omitempty"`
	RefusedDocuments int `json:"refused_documents,omitempty"`
	Other            int `json:"other,omitempty"`

	PassedOver map[string]int `json:"passed_over,omitempty"` // records that state nothing we can use, by reason

	Reason string `json:"reason,omitempty"` // why a person accepted that it shrank
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
// in force. Failing to read r is no refusal; the freshness clock will tell. For a collection the bytes are an archive of
// all its documents, see Deliver; then each document is a fact.
func (in *Intake) Import(ctx context.Context, who, source string, r io.Reader, from string) (Receipt, error) {
	src, err := in.source(source)
	if err != nil {
		return Receipt{}, err
	}
	if src.Inside && who != "" {
		return Receipt{}, fault.New(fault.Denied, "source %s is made of what people decide here, and takes no file", source)
	}
	if src.Collection != nil {
		return in.importArchive(ctx, who, src, r, from)
	}
	digest, size, err := in.Blobs.Put(ctx, io.LimitReader(r, src.MaxBytes+1))
	if err != nil {
		return Receipt{}, fmt.Errorf("receive %s: %w", source, err)
	}
	receipt := Receipt{From: Clip(from, maxNote), Bytes: size, Digest: digest}
	reading, err := in.parse(ctx, src, digest, size)
	if err == nil {
		err = in.older(ctx, src, reading, digest)
	}
	if err == nil {
		err = in.receive(ctx, who, src, reading, "", &receipt, "")
	}
	return in.finish(ctx, who, src, receipt, err)
}

// finish records a refusal.
func (in *Intake) finish(ctx context.Context, who string, src Source, receipt Receipt, err error) (Receipt, error) {
	if fault.KindOf(err) == fault.Invalid {
		if e := in.refuse(ctx, who, src, receipt, err); e != nil {
			return Receipt{}, e
		}
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("receive %s: %w", src.Name, err)
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
	reading.from(src, "")
	reading.Bulletins = distinct(reading.Bulletins)
	return reading, nil
}

// older refuses a file that says itself that it was made before the one in force. Where that one says it comes from the future, its
// word counts for nothing.
func (in *Intake) older(ctx context.Context, src Source, reading Reading, digest string) error {
	if reading.Revised.IsZero() {
		return nil
	}
	state, err := in.state(ctx, src.Name)
	if err != nil || state.Digest == "" || state.Digest == digest {
		return err
	}
	now, err := in.parse(ctx, src, state.Digest, 0)
	if err != nil || !reading.Revised.Before(now.Revised) || now.Revised.After(in.Now()) {
		return nil // what cannot be read any more is no reason to refuse what can
	}
	return fault.New(fault.Invalid, "made on %s, but the version in force is of %s: an older one came again",
		reading.Revised.UTC().Format(time.RFC3339), now.Revised.UTC().Format(time.RFC3339))
}

// receive puts a reading in force; of a collection, if base is the index in force still. With a reason, a person accepts that it
// shrank.
func (in *Intake) receive(ctx context.Context, who string, src Source, reading Reading, base string, receipt *Receipt, reason string) error {
	now, revisions := in.Now(), reading.advisories()
	return in.DB.Write(ctx, func(tx *db.Tx) error {
		state, _, err := loadSource(ctx, tx, src.Name)
		if err != nil {
			return err
		}
		if src.Collection != nil && reason == "" && state.Digest != base {
			return fault.New(fault.Conflict, "other documents of %s came meanwhile; bring these again", src.Name)
		}
		receipt.Statements, receipt.Signals, receipt.Support = len(reading.Statements), len(reading.Signals), len(reading.Support)
		receipt.PassedOver, receipt.Unchanged = reading.PassedOver, state.Digest == receipt.Digest
		counts := reading.counts()
		if reason == "" {
			err = shrunk(state.Counts, counts)
		} else if receipt.Reason = Clip(reason, maxNote); state.Shrunk != receipt.Digest {
			err = fault.New(fault.Conflict, "source %s does not wait for anyone to accept these bytes; look again", src.Name)
		}
		if err != nil {
			return err
		}
		before, err := loadRevisions(ctx, tx, src.Name)
		if err != nil {
			return err
		}
		changes := compareRevisions(before, revisions)
		if reading.Window {
			changes = slices.DeleteFunc(changes, func(c revision) bool { return c.Digest == "" })
		}
		receipt.New, receipt.Changed, receipt.Gone = changes.count()
		for _, c := range changes {
			if err := saveRevision(ctx, tx, src.Name, c, now); err != nil {
				return err
			}
		}
		if !receipt.Unchanged {
			state.Digest, state.From, state.Bytes, state.Counts, state.ReceivedAt = receipt.Digest, receipt.From, receipt.Bytes, counts, now
		}
		state.Name, state.Documents, state.RefusedDocuments = src.Name, receipt.Documents, receipt.RefusedDocuments
		ended := state.received(src, reading, now)
		if err := saveSource(ctx, tx, state); err != nil {
			return err
		}
		if receipt.Unchanged && !ended {
			return nil
		}
		kind := "source.received"
		if reason != "" {
			kind = "source.shrink-accepted"
		}
		return in.act(ctx, tx, who, kind, src.Name, []string{receipt.Digest}, *receipt)
	})
}

// received sets the clock of a source whose bytes were accepted, and says whether an alarm ended.
func (s *SourceState) received(src Source, reading Reading, now time.Time) (ended bool) {
	heard := now
	if src.Heard != nil {
		heard = reading.heard(src.Heard, now)
	}
	s.CheckedAt = now
	if !heard.IsZero() || s.DueAt.IsZero() {
		s.DueAt = cmp.Or(heard, now).Add(src.MaxAge)
	}
	ended = !s.RefusedAt.IsZero()
	s.RefusedAt, s.Refused, s.Shrunk = time.Time{}, "", ""
	if !s.SilentAt.IsZero() && now.Before(s.DueAt) {
		s.SilentAt, ended = time.Time{}, true
	}
	return ended
}

// heard is when the newest bulletin was published that counts; now for one that says it comes from the future, zero without any.
func (r Reading) heard(counts func(Bulletin) bool, now time.Time) (newest time.Time) {
	for _, b := range r.Bulletins {
		if counts(b) && b.Published.After(newest) {
			newest = b.Published
		}
	}
	if newest.After(now) {
		return now
	}
	return newest
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
		state.RefusedAt, state.Refused, state.Shrunk = now, Clip(why.Error(), maxNote), ""
		if errors.Is(why, errShrunk) {
			state.Shrunk = receipt.Digest
		}
		if err := saveSource(ctx, tx, state); err != nil {
			return err
		}
		facts := []string{receipt.Digest}
		if receipt.Digest == "" { // a delivery that broke before it had an index
			facts = nil
		}
		return in.act(ctx, tx, who, "source.refused", src.Name, facts,
			refusal{From: receipt.From, Bytes: receipt.Bytes, Reason: Clip(why.Error(), maxNote)})
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

// AcceptShrink puts in force what was refused because it states much less than before: a person looked, gives the
// SHA-256 of what was refused, and says why it is right. Anything else that waits, or nothing, is a Conflict.
func (in *Intake) AcceptShrink(ctx context.Context, who, source, digest, reason string) (Receipt, error) {
	src, err := in.source(source)
	if err != nil {
		return Receipt{}, err
	}
	if reason, err = ledger.Reason(reason); err != nil {
		return Receipt{}, err
	}
	state, err := in.state(ctx, source)
	if err != nil {
		return Receipt{}, err
	}
	if state.Shrunk == "" || state.Shrunk != digest {
		return Receipt{}, fault.New(fault.Conflict, "source %s does not wait for anyone to accept these bytes; look again", source)
	}
	receipt := Receipt{From: "accepted after it was refused", Digest: digest}
	if src.Collection != nil {
		var x index
		if x, err = in.loadIndex(ctx, digest); err == nil {
			err = in.receiveIndex(ctx, who, src, x, &receipt, reason)
		}
		return receipt, err
	}
	reading, err := in.parse(ctx, src, digest, 0)
	if err != nil {
		return Receipt{}, err
	}
	return receipt, in.receive(ctx, who, src, reading, "", &receipt, reason)
}

// counts are what shrunk compares: statements by release, all else under the empty name.
func (r Reading) counts() map[string]int {
	counts := make(map[string]int)
	for _, s := range r.Statements {
		counts[s.Release]++
	}
	if n := len(r.Signals) + len(r.Support); n > 0 {
		counts[""] = n
	}
	return counts
}

var errShrunk = errors.New("it looks truncated at the source; if it is right, accept it with a reason")

// shrunk refuses a reading that states over 5 % less than the one before about any release.
func shrunk(before, after map[string]int) error {
	for _, release := range slices.Sorted(maps.Keys(before)) {
		if old, now := before[release], after[release]; now*100 < old*95 {
			what := "statements about " + release
			if release == "" {
				what = "entries"
			}
			return fault.New(fault.Invalid, "shrank from %d to %d %s, by more than 5 %%; %w", old, now, what, errShrunk)
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
