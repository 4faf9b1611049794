package ledger

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// Prove proves that an entry is in the log, under a fresh checkpoint.
func (l *Ledger) Prove(ctx context.Context, index int64) (proof.Logged, error) {
	all, err := l.ProveAll(ctx, []int64{index})
	if err != nil {
		return proof.Logged{}, err
	}
	return all[0], nil
}

// ProveAll proves that entries are in the log, all under the same fresh checkpoint.
func (l *Ledger) ProveAll(ctx context.Context, indexes []int64) ([]proof.Logged, error) {
	text, err := l.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	c, err := l.openOwn(text)
	if err != nil {
		return nil, err
	}
	var all []proof.Logged
	err = l.DB.Read(ctx, func(tx *db.Tx) error {
		all = nil
		for _, index := range indexes {
			r, err := entry(ctx, tx, index)
			if err != nil {
				return err
			}
			p, err := tlog.ProveRecord(c.Size, index, hashes(ctx, tx))
			if err != nil {
				return fmt.Errorf("prove ledger entry %d: %w", index, err)
			}
			all = append(all, proof.Logged{Entry: r.entry, Index: index, Hashes: raw(p), Checkpoint: text})
		}
		return nil
	})
	return all, err
}

func (l *Ledger) openOwn(text string) (proof.Checkpoint, error) {
	c, err := proof.OpenCheckpoint(text, []string{l.Verifier}, l.Origin)
	if err != nil {
		return c, fmt.Errorf("open own checkpoint: %w", err)
	}
	return c, nil
}

func raw(hashes []tlog.Hash) [][]byte {
	all := make([][]byte, len(hashes))
	for i, h := range hashes {
		all[i] = h[:]
	}
	return all
}

// Consistency proves that the log of size after continues the log of size before (RFC 6962, 2.1.2).
func (l *Ledger) Consistency(ctx context.Context, before, after int64) ([][]byte, error) {
	var p tlog.TreeProof
	err := l.DB.Read(ctx, func(tx *db.Tx) error {
		n, err := size(ctx, tx)
		if err != nil {
			return fmt.Errorf("read ledger size: %w", err)
		}
		if before < 0 || before > after || after > n {
			return fault.New(fault.Invalid, "consistency of the ledger from %d to %d: want 0 <= from <= to <= %d", before, after, n)
		}
		if before == 0 || before == after {
			return nil // nothing to prove
		}
		if p, err = tlog.ProveTree(after, before, hashes(ctx, tx)); err != nil {
			return fmt.Errorf("prove consistency of the ledger: %w", err)
		}
		return nil
	})
	return raw(p), err
}

// tileHeight is the height of a tile. Source: C2SP tlog-tiles.
const tileHeight = 8

// Tile gives a resource of the log by its path in the C2SP tlog-tiles form, "tile/0/x001/067.p/5" or "tile/entries/000".
// What the latest checkpoint does not cover is fault.NotFound.
func (l *Ledger) Tile(ctx context.Context, path string) ([]byte, error) {
	tile, err := parseTile(path)
	if err != nil {
		return nil, err
	}
	var b []byte
	err = l.DB.Read(ctx, func(tx *db.Tx) error {
		text, err := checkpoint(ctx, tx)
		if err != nil {
			return fmt.Errorf("read checkpoint: %w", err)
		}
		var c proof.Checkpoint
		if text != "" {
			if c, err = l.openOwn(text); err != nil {
				return err
			}
		}
		covered := c.Size >> (tileHeight * max(tile.L, 0)) // hashes of the tile's level
		first := tile.N << tileHeight
		if first > covered || first+int64(tile.W) > covered {
			return fault.New(fault.NotFound, "ledger: the latest checkpoint covers no such tile")
		}
		if tile.L >= 0 {
			b, err = tlog.ReadTileData(tile, hashes(ctx, tx))
			return err
		}
		b, err = bundle(ctx, tx, first, first+int64(tile.W))
		return err
	})
	return b, err
}

// parseTile reads a C2SP path; the tlog package writes the height into it, and "data" for entries.
func parseTile(path string) (tlog.Tile, error) {
	refused := fault.New(fault.NotFound, "ledger: want a tile path as in C2SP tlog-tiles")
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok || strings.HasPrefix(rest, "data/") {
		return tlog.Tile{}, refused
	}
	if n, ok := strings.CutPrefix(rest, "entries/"); ok {
		rest = "data/" + n
	}
	tile, err := tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s", tileHeight, rest))
	if err != nil || tile.L > 7 || tile.N > 1<<47 {
		return tlog.Tile{}, refused
	}
	return tile, nil
}

// bundle gives entries from (inclusive) to (exclusive), each after its length in two bytes, big endian.
func bundle(ctx context.Context, tx *db.Tx, from, to int64) ([]byte, error) {
	rows, err := entries(ctx, tx, from, to)
	if err != nil {
		return nil, fmt.Errorf("read ledger entries: %w", err)
	}
	var b []byte
	for _, r := range rows {
		b = binary.BigEndian.AppendUint16(b, uint16(len(r.entry)))
		b = append(b, r.entry...)
	}
	return b, nil
}
