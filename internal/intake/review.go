package intake

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Advisory is what one source states under one ID, in the queue for review. A revised one queues again.
type Advisory struct {
	Source    string    `json:"source"`
	ID        string    `json:"id"`
	Revision  string    `json:"revision"`
	FirstAt   time.Time `json:"first_at"`
	RevisedAt time.Time `json:"revised_at"`
	DueAt     time.Time `json:"due_at"`
	Bulletin  *Bulletin `json:"bulletin,omitempty"` // what it says, where it is an announcement that names no package
}

// MaxQueue is the most advisories Queue gives at once.
const MaxQueue = 10_000

// Queue gives the advisories without a review, the longest due first, and how many there are in all.
func (in *Intake) Queue(ctx context.Context, limit int) (queue []Advisory, all int, err error) {
	return in.QueueAfter(ctx, Advisory{}, limit)
}

// QueueAfter is Queue without what stands up to and including an advisory of it.
func (in *Intake) QueueAfter(ctx context.Context, last Advisory, limit int) (queue []Advisory, all int, err error) {
	if limit <= 0 || limit > MaxQueue {
		limit = MaxQueue
	}
	err = in.DB.Read(ctx, func(tx *db.Tx) error {
		if all, err = countQueue(ctx, tx); err != nil {
			return err
		}
		queue, err = loadQueue(ctx, tx, last, limit)
		return err
	})
	if err == nil {
		queue, err = in.announce(ctx, queue)
	}
	return queue, all, err
}

// Unreviewed gives the IDs of all advisories in the queue.
func (in *Intake) Unreviewed(ctx context.Context) (ids map[string]bool, err error) {
	err = in.DB.Read(ctx, func(tx *db.Tx) error {
		ids, err = unreviewed(ctx, tx)
		return err
	})
	return ids, err
}

// WholeQueue is Queue with MaxQueue. While no receipt and no review changed the queue it comes from memory: what it gives is
// shared, and nobody changes it.
func (in *Intake) WholeQueue(ctx context.Context) (queue []Advisory, all int, err error) {
	err = in.DB.Read(ctx, func(tx *db.Tx) error {
		if all, err = countQueue(ctx, tx); err != nil {
			return err
		}
		states, err := loadSources(ctx, tx)
		if err != nil {
			return err
		}
		// Receipts make the queue and reviews only shorten it.
		key := fmt.Sprint(all)
		for _, s := range states {
			key += fmt.Sprint(" ", s.Name, s.Digest, db.Micros(s.ReceivedAt))
		}
		queue, err = in.queue.Get(key, func() ([]Advisory, int, error) {
			whole, err := loadQueue(ctx, tx, Advisory{}, MaxQueue)
			return whole, len(whole) * advisorySize, err
		})
		return err
	})
	if err == nil {
		queue, err = in.announce(ctx, queue)
	}
	return queue, all, err
}

// advisorySize is about what an advisory takes in memory, in bytes.
const advisorySize = 250

// Seen is an advisory as a person looked at it.
type Seen struct {
	Source   string `json:"source"`
	ID       string `json:"id"`
	Revision string `json:"revision" doc:"as the queue gave it, or its first 16 digits"`
}

// Seen names the advisory as it is in the queue.
func (a Advisory) Seen() Seen { return Seen{a.Source, a.ID, a.Revision} }

// LeastRevision is how much of a revision names it, in hex digits.
const LeastRevision = 16

// Review is a person's word on advisories: relevant or not, one reason for all of them.
type Review struct {
	Advisories []Seen `json:"advisories" minItems:"1"`
	Relevant   bool   `json:"relevant"`
	Reason     string `json:"reason"`
}

// reviewed is the detail of the act advisory.reviewed. Its fact is the list of [ID, revision] pairs that were looked at.
type reviewed struct {
	Count    int    `json:"count"`
	Relevant bool   `json:"relevant"`
	Reason   string `json:"reason"`
}

// Review takes advisories off the queue, in one act for each source. One that is not in the queue, or was revised since it was looked
// at, is a Conflict, and nothing changes.
func (in *Intake) Review(ctx context.Context, who string, r Review) error {
	if who == "" || strings.TrimSpace(r.Reason) == "" || len(r.Advisories) == 0 {
		return fault.New(fault.Invalid, "a review needs a person, a reason and at least one advisory")
	}
	all := slices.Compact(slices.SortedFunc(slices.Values(r.Advisories), func(a, b Seen) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.ID, b.ID), strings.Compare(a.Revision, b.Revision))
	}))
	return in.DB.Write(ctx, func(tx *db.Tx) error {
		for first, next := 0, 0; first < len(all); first = next {
			for next = first + 1; next < len(all) && all[next].Source == all[first].Source; next++ {
			}
			if err := in.reviewOf(ctx, tx, who, r, all[first:next]); err != nil {
				return err
			}
		}
		return nil
	})
}

// reviewOf takes advisories of one source off the queue.
func (in *Intake) reviewOf(ctx context.Context, tx *db.Tx, who string, r Review, seen []Seen) error {
	source, now := seen[0].Source, in.Now()
	looked := make([][2]string, 0, len(seen))
	for _, a := range seen {
		revision, due, err := loadDue(ctx, tx, source, a.ID)
		if err != nil {
			return err
		}
		if !due {
			return fault.New(fault.Conflict, "advisory %s of %s waits for no review; look at the queue again", Clip(a.ID, maxNote), Clip(source, maxNote))
		}
		if len(a.Revision) < LeastRevision || !strings.HasPrefix(revision, a.Revision) {
			return fault.New(fault.Conflict, "advisory %s of %s is not as you saw it: its revision is %s; look again", Clip(a.ID, maxNote), Clip(source, maxNote), revision)
		}
		looked = append(looked, [2]string{a.ID, revision})
		if err := saveReview(ctx, tx, who, r, a, now); err != nil {
			return err
		}
	}
	list, err := envelope.Encode(looked)
	if err != nil {
		return err
	}
	fact, err := blob.PutBytes(ctx, in.Blobs, list)
	if err != nil {
		return err
	}
	return in.act(ctx, tx, who, "advisory.reviewed", source, []string{fact}, reviewed{len(looked), r.Relevant, Clip(r.Reason, maxNote)})
}
