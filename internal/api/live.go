package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

const (
	liveEvery = 2 * time.Second
	liveFor   = 10 * time.Minute // then the caller comes back, and is asked again who it is
)

// liveRequest is of a new caller, or of one that comes back.
type liveRequest struct {
	LastEventID int64 `header:"Last-Event-ID" minimum:"-1" default:"-1" doc:"index of the last act that was told; -1: only new ones"`
}

// live tells of new acts as server-sent events, so that pages know when to look again. The source of truth is the ledger:
// an event lost is no act lost.
func (d *door) live(ctx context.Context, _ staff.Session, in *liveRequest) (*huma.StreamResponse, error) {
	who := callerOf(ctx)
	next := in.LastEventID + 1
	if in.LastEventID < 0 {
		last, err := d.Ledger.List(ctx, ledger.Filter{Newest: true, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(last) > 0 {
			next = last[0].Index + 1
		}
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		_, w := humago.Unwrap(c)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
		ctx, cancel := context.WithTimeout(c.Context(), liveFor)
		defer cancel()
		if err := d.tell(ctx, w, who, next); err != nil && ctx.Err() == nil {
			d.Log.Debug("tell of acts", "error", err)
		}
	}}, nil
}

// tell writes an event for each act from an index on, until ctx is done or whoever listens has lost their leave.
func (d *door) tell(ctx context.Context, w http.ResponseWriter, who caller, next int64) error {
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	for flush := http.NewResponseController(w).Flush; ; {
		session, err := d.Staff.AuthenticateUnattended(ctx, who.token, who.from)
		if err == nil {
			err = d.Staff.Authorize(ctx, session, staff.Read, who.from)
		}
		if err != nil {
			return err
		}
		entries, err := d.Ledger.List(ctx, ledger.Filter{From: next})
		if err != nil {
			return err
		}
		for _, e := range entries {
			b, err := json.Marshal(v1.Event{Index: e.Index, Kind: e.Act.Kind, Subject: e.Act.Subject})
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "id: %d\nevent: act\ndata: %s\n\n", e.Index, b); err != nil {
				return err
			}
			next = e.Index + 1
		}
		if err := flush(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
