package story

import (
	"context"
	"database/sql"
	"errors"

	_ "modernc.org/sqlite" // the engine of the server's database

	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// What someone who has taken the server over writes into its database: an order as if two people had signed it, which
// rests on the ledger's entry and the curation record of a genuine one.
const (
	forgeOrder = `INSERT INTO change_order (order_id, kind, of_order, payload, curation, sequence, state, envelope, manifest, result, ended_at)
		SELECT $2, kind, of_order, $3, curation, $4, 'warranted', $5, '', '', 0 FROM change_order WHERE order_id = $1`
	forgeRollout = `INSERT INTO rollout (order_id, order_digest, author, envelope, curation, warranted, sequence, opens_at, closes_at, state, budget, started_at, ended_at)
		SELECT $2, $3, author, $4, curation, warranted, $5, opens_at, closes_at, 'running', 0, started_at, 0 FROM rollout WHERE order_id = $1`
	forgeRun = `INSERT INTO rollout_run (order_id, host_id, position, wave, state, code, offered_at, begun_at, ended_at, report, payload, session, seen_before, seen_after, disputed)
		VALUES ($1, $2, 0, 0, 'waiting', '', 0, 0, 0, '', '', '', '', '', '')`
)

// forge writes the order into the database file beside the genuine one, offered to a host.
func forge(ctx context.Context, file, genuine, host string, o warrant.Order, payload []byte, digest, envelope string) (err error) {
	d, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	tx, err := d.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, s := range []struct {
		text string
		args []any
	}{
		{forgeOrder, []any{genuine, o.ID, payload, o.Sequence, envelope}},
		{forgeRollout, []any{genuine, o.ID, digest, envelope, o.Sequence}},
		{forgeRun, []any{o.ID, host}},
	} {
		if _, err := tx.ExecContext(ctx, s.text, s.args...); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}
