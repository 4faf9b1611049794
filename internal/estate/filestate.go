package estate

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

// FileState is a state of one of a host's file trees, from when it was first reported until the next.
type FileState struct {
	Tree    string    `json:"tree"`   // path of its top
	Digest  string    `json:"digest"` // SHA-256 of the whole
	FirstAt time.Time `json:"first_at"`
}

// MostFileStates is how many are kept of each tree of a host. Facts stay as blobs; what an order changed is kept for ever
// with the order.
const MostFileStates = 50

// FileStates gives the newest file states of a host, the newest first.
func (e *Estate) FileStates(ctx context.Context, host string) (all []FileState, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = loadFileStates(ctx, tx, host)
		return err
	})
	return all, err
}

// keepFileStates notes the trees that differ from before.
func keepFileStates(ctx context.Context, tx *db.Tx, before, after Host, now time.Time) error {
	for _, tree := range newTrees(before, after) {
		if err := saveFileState(ctx, tx, after.ID, FileState{tree, after.Trees[tree], now}); err != nil {
			return err
		}
	}
	return nil
}

// newTrees names the trees whose state is another than before, sorted.
func newTrees(before, after Host) []string {
	same := func(tree string) bool { return after.Trees[tree] == before.Trees[tree] }
	return slices.DeleteFunc(slices.Sorted(maps.Keys(after.Trees)), same)
}
