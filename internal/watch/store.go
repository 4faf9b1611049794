package watch

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

var (
	selectHost = db.Q(`SELECT trees, orders FROM watch_host WHERE host_id = $1`)
	upsertHost = db.Q(`INSERT INTO watch_host (host_id, trees, orders) VALUES ($1, $2, $3)
		ON CONFLICT (host_id) DO UPDATE SET trees = excluded.trees, orders = excluded.orders`)
)

// read gives a host's baseline, nil if it has none.
func (w *Watch) read(ctx context.Context, host string) (b *baseline, err error) {
	err = w.DB.Read(ctx, func(tx *db.Tx) error {
		var trees, orders string
		err := tx.QueryRow(ctx, selectHost, host).Scan(&trees, &orders)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		b = new(baseline)
		return errors.Join(json.Unmarshal([]byte(trees), &b.Trees), json.Unmarshal([]byte(orders), &b.Orders))
	})
	return b, err
}

func save(ctx context.Context, tx *db.Tx, host string, b baseline) error {
	trees, err := json.Marshal(b.Trees)
	if err != nil {
		return err
	}
	orders, err := json.Marshal(b.Orders)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, upsertHost, host, string(trees), string(orders))
	return err
}
