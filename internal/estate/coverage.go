package estate

import (
	"context"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

// Coverage says how much of the estate is looked at: who speaks, and how old what they last reported of themselves is.
type Coverage struct {
	Hosts     int `json:"hosts"`
	Silent    int `json:"silent"`     // nothing heard within the term
	Reported  int `json:"reported"`   // have reported their packages at least once
	FreshDay  int `json:"fresh_day"`  // did so within the last 24 hours
	FreshWeek int `json:"fresh_week"` // within the last 7 days
}

// Coverage counts all hosts.
func (e *Estate) Coverage(ctx context.Context, now time.Time) (c Coverage, err error) {
	if err := e.Flush(ctx); err != nil {
		return c, err
	}
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		c, err = countCoverage(ctx, tx, now)
		return err
	})
	return c, err
}
