package curation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Channel is what a channel points at. Versions count its promotions and only grow, also when it goes back to an older
// snapshot.
type Channel struct {
	Name       string
	Version    int64 // 0: nothing was ever promoted into it
	Snapshot   string
	PromotedBy string
	PromotedAt time.Time
}

// Channel gives the digest of the snapshot a channel points at; none yet is fault.NotFound.
func (c *Curation) Channel(ctx context.Context, name string) (digest string, err error) {
	all, err := c.ChannelStates(ctx)
	if err != nil {
		return "", err
	}
	for _, one := range all {
		if one.Name == name && one.Version > 0 {
			return one.Snapshot, nil
		}
	}
	return "", fault.New(fault.NotFound, "there is no channel %q with a snapshot", name)
}

// ChannelStates gives all channels in the order of promotion.
func (c *Curation) ChannelStates(ctx context.Context) (all []Channel, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		for _, name := range c.Channels {
			one, err := loadChannel(ctx, tx, name)
			if err != nil {
				return err
			}
			all = append(all, one)
		}
		return nil
	})
	return all, err
}

// Promote points a channel at a signed snapshot, by digest. Into a channel after the first comes only a digest that was in
// the channel before it: what was tested is what moves.
func (c *Curation) Promote(ctx context.Context, who, channel, snapshot string) (next Channel, err error) {
	err = c.DB.Write(ctx, func(tx *db.Tx) error {
		at := slices.Index(c.Channels, channel)
		if at < 0 {
			return fault.New(fault.NotFound, "there is no channel %q", channel)
		}
		record, err := signedRecord(ctx, tx, snapshot)
		if err != nil {
			return err
		}
		if at > 0 {
			tested, err := wasIn(ctx, tx, c.Channels[at-1], snapshot)
			if err != nil {
				return err
			}
			if !tested {
				return fault.New(fault.Conflict, "snapshot %s was never in channel %s, so nobody tested it there", snapshot, c.Channels[at-1])
			}
		}
		was, err := loadChannel(ctx, tx, channel)
		if err != nil {
			return err
		}
		if was.Snapshot == snapshot {
			return fault.New(fault.Conflict, "it has that snapshot already")
		}
		next = Channel{channel, was.Version + 1, snapshot, who, c.Now().UTC()}
		if err := insertPromotion(ctx, tx, next); err != nil {
			return err
		}
		return c.act(ctx, tx, "channel.promoted", "channel/"+channel, "person/"+who, []string{record}, map[string]any{
			"snapshot": snapshot, "from": was.Snapshot, "version": next.Version,
		})
	})
	if err != nil {
		return next, fmt.Errorf("promote snapshot %s to %s: %w", snapshot, channel, err)
	}
	return next, nil
}
