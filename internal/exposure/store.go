package exposure

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

var (
	qOpenEpisodes = db.Q(`SELECT ` + episodeColumns + ` FROM exposure WHERE fixed_at = 0`)
	qLastEpisode  = db.Q(`SELECT ` + episodeColumns + ` FROM exposure WHERE vulnerability = $1 ORDER BY episode DESC LIMIT 1`)
	qEpisodes     = db.Q(`SELECT ` + episodeColumns + ` FROM exposure WHERE vulnerability = $1 ORDER BY episode`)
	qFixed        = db.Q(`SELECT ` + episodeColumns + ` FROM exposure WHERE fixed_at >= $1 AND fixed_at < $2
		AND (fixed_at > $3 OR fixed_at = $3 AND vulnerability > $4) ORDER BY fixed_at, vulnerability LIMIT $5`)
	qRemedied    = db.Q(`SELECT fixed_at, fixed_at - affected_at FROM exposure WHERE fixed_at >= $1 AND affected_at > 0`)
	qSaveEpisode = db.Q(`INSERT INTO exposure (` + episodeColumns + `) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)
		ON CONFLICT (vulnerability, episode) DO UPDATE SET affected_at = excluded.affected_at, fixed_at = excluded.fixed_at,
		gone_at = excluded.gone_at, gone = excluded.gone, hosts = excluded.hosts, most = excluded.most, left_hosts = excluded.left_hosts,
		releases = excluded.releases, act = excluded.act`)
	qLastExposureAct = db.Q(`SELECT COALESCE((SELECT MAX(act) FROM exposure), -1), COALESCE((SELECT MAX(act) FROM exposure_day), -1)`)
	qHasDay          = db.Q(`SELECT COUNT(*) FROM exposure_day WHERE day = $1`)
	qInsertDay       = db.Q(`INSERT INTO exposure_day (day, totals, act) VALUES ($1, $2, $3)`)
	qDays            = db.Q(`SELECT totals, act FROM exposure_day WHERE day >= $1 ORDER BY day`)
)

const episodeColumns = `vulnerability, episode, identified_at, affected_at, fixed_at, gone_at, gone, hosts, most, left_hosts, releases, act`

func scanEpisode(row interface{ Scan(...any) error }) (e Episode, err error) {
	var identified, affected, fixed, gone int64
	var releases string
	err = row.Scan(&e.Vulnerability, &e.Number, &identified, &affected, &fixed, &gone, &e.Gone, &e.Hosts, &e.Most, &e.Left, &releases, &e.Act)
	e.IdentifiedAt, e.AffectedAt, e.FixedAt, e.GoneAt = db.Time(identified), db.Time(affected), db.Time(fixed), db.Time(gone)
	e.Releases = strings.Fields(releases)
	return e, err
}

func episodes(ctx context.Context, tx *db.Tx, q db.Query, args ...any) ([]Episode, error) {
	rows, err := tx.Query(ctx, q, args...)
	return db.Collect(rows, err, func(r *sql.Rows) (Episode, error) { return scanEpisode(r) })
}

func saveEpisode(ctx context.Context, tx *db.Tx, e Episode) error {
	_, err := tx.Exec(ctx, qSaveEpisode, e.Vulnerability, e.Number, db.Micros(e.IdentifiedAt), db.Micros(e.AffectedAt), db.Micros(e.FixedAt),
		db.Micros(e.GoneAt), e.Gone, e.Hosts, e.Most, e.Left, strings.Join(e.Releases, " "), e.Act)
	return err
}

// lastExposureAct gives the index of the last act of the history, -1 before the first.
func lastExposureAct(ctx context.Context, tx *db.Tx) (int64, error) {
	var episode, day int64
	err := tx.QueryRow(ctx, qLastExposureAct).Scan(&episode, &day)
	return max(episode, day), err
}

// recentEpisodes gives the open episodes and, of the vulnerabilities present without one, the last; with the last act.
func (x *Exposure) recentEpisodes(ctx context.Context, present map[string]presence) (recent map[string]Episode, last int64, err error) {
	err = x.DB.Read(ctx, func(tx *db.Tx) error {
		if last, err = lastExposureAct(ctx, tx); err != nil {
			return err
		}
		all, err := episodes(ctx, tx, qOpenEpisodes)
		recent = make(map[string]Episode, len(all))
		for _, e := range all {
			recent[e.Vulnerability] = e
		}
		if err != nil || last < 0 {
			return err
		}
		for name := range present {
			if _, known := recent[name]; known {
				continue
			}
			e, err := scanEpisode(tx.QueryRow(ctx, qLastEpisode, name))
			if err == nil {
				recent[name] = e
			} else if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		return nil
	})
	return recent, last, err
}

func (x *Exposure) hasDay(ctx context.Context, day string) (bool, error) {
	var n int
	err := x.DB.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(ctx, qHasDay, day).Scan(&n) })
	return n > 0, err
}

func insertDay(ctx context.Context, tx *db.Tx, d Day) error {
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, qInsertDay, d.Day, string(b), d.Act)
	return err
}

func scanDay(rows *sql.Rows) (d Day, err error) {
	var totals string
	var act int64
	if err = rows.Scan(&totals, &act); err == nil {
		err = json.Unmarshal([]byte(totals), &d)
	}
	d.Act = act
	return d, err
}

// remedied is one episode that was observed fixed after a host had been affected.
type remedied struct {
	at   time.Time
	took time.Duration
}

func scanRemedied(rows *sql.Rows) (r remedied, err error) {
	var at, took int64
	err = rows.Scan(&at, &took)
	return remedied{db.Time(at), time.Duration(took) * time.Microsecond}, err
}
