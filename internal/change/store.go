package change

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

const orderColumns = `order_id, kind, of_order, payload, curation, state, envelope, manifest, result, ended_at`

var (
	takeSequence = db.Q(`UPDATE change_sequence SET last = last + 1 WHERE id = 1`)
	readSequence = db.Q(`SELECT last FROM change_sequence WHERE id = 1`)
	addOrder     = db.Q(`INSERT INTO change_order (order_id, kind, of_order, payload, curation, sequence, state, envelope, manifest,
		result, ended_at, class, month) VALUES ($1,$2,$3,$4,$5,$6,$7,'','','',0,$8,$9)`)
	updateOrder = db.Q(`UPDATE change_order SET state = $2, envelope = $3, manifest = $4, result = $5, ended_at = $6
		WHERE order_id = $1`)
	selectOrder  = db.Q(`SELECT ` + orderColumns + ` FROM change_order WHERE order_id = $1`)
	selectEnd    = db.Q(`SELECT ended_at FROM change_order WHERE order_id = $1`)
	selectLatest = db.Q(`SELECT order_id, kind, of_order, curation, state, envelope, manifest, result, ended_at FROM change_order
		WHERE sequence < $1 ORDER BY sequence DESC LIMIT $2`)
	countOrders   = db.Q(`SELECT kind, state, count(*) FROM change_order GROUP BY kind, state`)
	selectPayload = db.Q(`SELECT payload FROM change_order WHERE order_id = $1`)
	countMonths   = db.Q(`SELECT month, class, COUNT(*) FROM change_order WHERE kind = 'production' AND envelope <> '' AND month >= $1
		GROUP BY month, class ORDER BY month`)
	selectOpen   = db.Q(`SELECT ` + orderColumns + ` FROM change_order WHERE state IN ('proposed', 'warranted', 'under-investigation') ORDER BY sequence`)
	addSignature = db.Q(`INSERT INTO change_signature (order_id, person, position, signed_at, signature)
		VALUES ($1, $2, $3, $4, $5)`)
	allTemplates = db.Q(`SELECT document FROM order_templates ORDER BY name`)
	oneTemplate  = db.Q(`SELECT document FROM order_templates WHERE name = $1`)
	addTemplate  = db.Q(`INSERT INTO order_templates (name, document, changed_by, changed_at) VALUES ($1,$2,$3,$4)
		ON CONFLICT (name) DO UPDATE SET document = excluded.document, changed_by = excluded.changed_by, changed_at = excluded.changed_at`)
	delTemplate      = db.Q(`DELETE FROM order_templates WHERE name = $1`)
	selectSignatures = db.Q(`SELECT person, signed_at, signature FROM change_signature WHERE order_id = $1 ORDER BY position`)
)

func nextSequence(ctx context.Context, tx *db.Tx) (n int64, err error) {
	if _, err := tx.Exec(ctx, takeSequence); err != nil {
		return 0, fmt.Errorf("take sequence number: %w", err)
	}
	if err := tx.QueryRow(ctx, readSequence).Scan(&n); err != nil {
		return 0, fmt.Errorf("read sequence number: %w", err)
	}
	return n, nil
}

func insertOrder(ctx context.Context, tx *db.Tx, o Order) error {
	if _, err := tx.Exec(ctx, addOrder, o.ID, o.Kind, o.Of, o.Payload, o.Curation, o.Sequence, o.State, o.Class, o.MadeAt.UTC().Format(monthForm)); err != nil {
		return fmt.Errorf("save order %s: %w", o.ID, err)
	}
	return nil
}

func saveOrder(ctx context.Context, tx *db.Tx, o Order) error {
	_, err := tx.Exec(ctx, updateOrder, o.ID, o.State, o.Envelope, o.Manifest, o.Result, db.Micros(o.EndedAt))
	if err != nil {
		return fmt.Errorf("save order %s: %w", o.ID, err)
	}
	return nil
}

func insertSignature(ctx context.Context, tx *db.Tx, order string, position int, s Signature) error {
	b, err := json.Marshal(s.Signature)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, addSignature, order, s.Person, position, db.Micros(s.At), string(b)); err != nil {
		return fmt.Errorf("save signature on order %s: %w", order, err)
	}
	return nil
}

func scanOrder(row interface{ Scan(...any) error }) (Order, error) {
	var o Order
	var order string
	var ended int64
	err := row.Scan(&order, &o.Kind, &o.Of, &o.Payload, &o.Curation, &o.State, &o.Envelope, &o.Manifest, &o.Result, &ended)
	if err != nil {
		return o, err
	}
	o.EndedAt, o.Digest = db.Time(ended), envelope.Digest(o.Payload)
	if o.Order, err = warrant.DecodeOrder(o.Payload); err != nil {
		return o, fmt.Errorf("stored order %s: %w", order, err)
	}
	return o, nil
}

func load(ctx context.Context, tx *db.Tx, order string) (Order, error) {
	o, err := scanOrder(tx.QueryRow(ctx, selectOrder, order))
	if errors.Is(err, sql.ErrNoRows) {
		return o, fault.New(fault.NotFound, "there is no order %s", order)
	}
	if err != nil {
		return o, fmt.Errorf("load order %s: %w", order, err)
	}
	rows, err := tx.Query(ctx, selectSignatures, order)
	o.Signatures, err = db.Collect(rows, err, func(r *sql.Rows) (Signature, error) {
		var s Signature
		var at int64
		var text string
		if err := r.Scan(&s.Person, &at, &text); err != nil {
			return s, err
		}
		s.At = db.Time(at)
		return s, json.Unmarshal([]byte(text), &s.Signature)
	})
	if err != nil {
		return o, fmt.Errorf("load signatures on order %s: %w", order, err)
	}
	return o, nil
}

// endedAt gives when an order came to what it is; zero while its rollout goes on.
func endedAt(ctx context.Context, tx *db.Tx, order string) (time.Time, error) {
	var at int64
	err := tx.QueryRow(ctx, selectEnd, order).Scan(&at)
	if err != nil {
		return time.Time{}, fmt.Errorf("load order %s: %w", order, err)
	}
	return db.Time(at), nil
}

func orders(rows *sql.Rows, err error) ([]Order, error) {
	all, err := db.Collect(rows, err, func(r *sql.Rows) (Order, error) { return scanOrder(r) })
	if err != nil {
		return nil, fmt.Errorf("load orders: %w", err)
	}
	return all, nil
}

// latest gives orders below a sequence number without what their payload says, by ID.
func latest(ctx context.Context, tx *db.Tx, before int64, limit int) ([]Order, error) {
	rows, err := tx.Query(ctx, selectLatest, before, limit)
	all, err := db.Collect(rows, err, func(r *sql.Rows) (o Order, err error) {
		var ended int64
		err = r.Scan(&o.ID, &o.Kind, &o.Of, &o.Curation, &o.State, &o.Envelope, &o.Manifest, &o.Result, &ended)
		o.EndedAt = db.Time(ended)
		return o, err
	})
	if err != nil {
		return nil, fmt.Errorf("load orders: %w", err)
	}
	return all, nil
}

func counts(ctx context.Context, tx *db.Tx) ([]Count, error) {
	rows, err := tx.Query(ctx, countOrders)
	all, err := db.Collect(rows, err, func(r *sql.Rows) (n Count, err error) { return n, r.Scan(&n.Kind, &n.State, &n.Orders) })
	if err != nil {
		return nil, fmt.Errorf("count orders: %w", err)
	}
	return all, nil
}

// said is what an order's payload says. It never changes.
type said struct {
	warrant.Order
	payload []byte
	digest  string
}

func loadSaid(ctx context.Context, tx *db.Tx, order string) (said, int, error) {
	var x said
	err := tx.QueryRow(ctx, selectPayload, order).Scan(&x.payload)
	if err == nil {
		x.Order, err = warrant.DecodeOrder(x.payload)
	}
	if err != nil {
		return x, 0, fmt.Errorf("stored order %s: %w", order, err)
	}
	x.digest = envelope.Digest(x.payload)
	return x, 3 * len(x.payload), nil // about, with what was read of it
}

func unfinished(ctx context.Context, tx *db.Tx) ([]Order, error) {
	return orders(tx.Query(ctx, selectOpen))
}

func monthsSince(ctx context.Context, tx *db.Tx, month string) (months []Month, err error) {
	rows, err := tx.Query(ctx, countMonths, month)
	_, err = db.Collect(rows, err, func(r *sql.Rows) (none struct{}, err error) {
		var month, class string
		var n int
		err = r.Scan(&month, &class, &n)
		if last := len(months) - 1; last < 0 || months[last].Month != month {
			months = append(months, Month{Month: month})
		}
		m := &months[len(months)-1]
		m.Orders += n
		if class == trustroot.Emergency {
			m.Emergencies += n
		}
		return none, err
	})
	return months, err
}

func encodeTemplate(t Template) (string, error) {
	b, err := json.Marshal(t)
	return string(b), err
}

func readTemplate(r interface{ Scan(...any) error }) (t Template, err error) {
	var document string
	if err = r.Scan(&document); err == nil {
		err = json.Unmarshal([]byte(document), &t)
	}
	return t, err
}

func loadTemplates(ctx context.Context, tx *db.Tx) ([]Template, error) {
	rows, err := tx.Query(ctx, allTemplates)
	return db.Collect(rows, err, func(r *sql.Rows) (Template, error) { return readTemplate(r) })
}

func loadTemplate(ctx context.Context, tx *db.Tx, name string) (Template, error) {
	t, err := readTemplate(tx.QueryRow(ctx, oneTemplate, name))
	if errors.Is(err, sql.ErrNoRows) {
		return t, fault.New(fault.NotFound, "no such template")
	}
	return t, err
}

func putTemplate(ctx context.Context, tx *db.Tx, t Template) error {
	document, err := encodeTemplate(t)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, addTemplate, t.Name, document, t.ChangedBy, db.Micros(t.ChangedAt))
	return err
}

func dropTemplate(ctx context.Context, tx *db.Tx, name string) error {
	_, err := tx.Exec(ctx, delTemplate, name)
	return err
}
