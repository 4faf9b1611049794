package exposure

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// History gives the episodes of one vulnerability, the oldest first.
func (x *Exposure) History(ctx context.Context, vulnerability string) (all []Episode, err error) {
	err = x.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = episodes(ctx, tx, qEpisodes, vulnerability)
		return err
	})
	return all, err
}

// OpenEpisodes gives all that have not ended, by vulnerability.
func (x *Exposure) OpenEpisodes(ctx context.Context) (all []Episode, err error) {
	err = x.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = episodes(ctx, tx, qOpenEpisodes)
		return err
	})
	return all, err
}

// Days gives the totals from a day on, the oldest first; a day on which no sweep ran has none.
func (x *Exposure) Days(ctx context.Context, since time.Time) (all []Day, err error) {
	err = x.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(ctx, qDays, since.UTC().Format(time.DateOnly))
		all, err = db.Collect(rows, err, scanDay)
		return err
	})
	return all, err
}

// MaxFixed is the most episodes Fixed gives at once.
const MaxFixed = 1000

// Fixed gives the episodes that ended by an observed fix from since to before until, the oldest end first; those after one
// of them where after is set. They are the evidence of Remediation.
func (x *Exposure) Fixed(ctx context.Context, since, until time.Time, after Episode, limit int) (all []Episode, err error) {
	if limit <= 0 || limit > MaxFixed {
		limit = MaxFixed
	}
	from := max(db.Micros(since), 1) // 0 is an open one
	err = x.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = episodes(ctx, tx, qFixed, from, db.Micros(until), db.Micros(after.FixedAt), after.Vulnerability, limit)
		return err
	})
	return all, err
}

// Episode gives one by vulnerability and number, or fault.NotFound.
func (x *Exposure) Episode(ctx context.Context, vulnerability string, number int) (Episode, error) {
	all, err := x.History(ctx, vulnerability)
	if err != nil {
		return Episode{}, err
	}
	i := slices.IndexFunc(all, func(e Episode) bool { return e.Number == number })
	if i < 0 {
		return Episode{}, fault.New(fault.NotFound, "there is no such episode")
	}
	return all[i], nil
}

// Remediation is how long it took to remediate what was observed fixed in one month: from the first affected host to the
// last one observed fixed. Percentiles are by nearest rank.
type Remediation struct {
	Month        string  `json:"month"` // YYYY-MM, UTC
	Fixed        int     `json:"fixed"` // episodes
	MedianHours  float64 `json:"median_hours"`
	P90Hours     float64 `json:"p90_hours"`
	LongestHours float64 `json:"longest_hours"`
}

// Remediation gives a row for each month from since on in which something was fixed.
func (x *Exposure) Remediation(ctx context.Context, since time.Time) (months []Remediation, err error) {
	var all []remedied
	err = x.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(ctx, qRemedied, max(db.Micros(since), 1))
		all, err = db.Collect(rows, err, scanRemedied)
		return err
	})
	return remediation(all), err
}

func remediation(all []remedied) []Remediation {
	slices.SortFunc(all, func(a, b remedied) int {
		return cmp.Or(cmp.Compare(a.at.Format("2006-01"), b.at.Format("2006-01")), cmp.Compare(a.took, b.took))
	})
	var months []Remediation
	for len(all) > 0 {
		month, n := all[0].at.Format("2006-01"), 1
		for n < len(all) && all[n].at.Format("2006-01") == month {
			n++
		}
		rank := func(percent int) float64 { return all[(n*percent+99)/100-1].took.Hours() }
		months = append(months, Remediation{month, n, rank(50), rank(90), rank(100)})
		all = all[n:]
	}
	return months
}
