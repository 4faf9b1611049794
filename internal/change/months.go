package change

import (
	"context"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

// Month is the production orders of one month that became warrants, by when they were made. Source: R-605, the rate of
// emergencies is watched, because they must not become regular.
type Month struct {
	Month       string `json:"month"` // YYYY-MM, UTC
	Orders      int    `json:"orders"`
	Emergencies int    `json:"emergencies"` // of the orders
}

const monthForm = "2006-01"

// Months gives a row for each month from since on in which there was an order.
func (c *Changes) Months(ctx context.Context, since time.Time) (months []Month, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		months, err = monthsSince(ctx, tx, since.UTC().Format(monthForm))
		return err
	})
	return months, err
}
