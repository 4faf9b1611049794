package estate

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// InService loads a host that is not retired; RETIRED is the code of one that is.
func InService(ctx context.Context, tx *db.Tx, host string) (Host, error) {
	h, err := loadHost(ctx, tx, host)
	if err == nil && !h.RetiredAt.IsZero() {
		err = errRetired()
	}
	return h, err
}

func errRetired() error {
	return fault.Refuse(wire.Retired, "this host was retired: it is out of service for good; a machine that goes on is enrolled as a new host")
}

// Retire takes a host out of service in the transaction that has the quorum for it: it counts nowhere from now on, and its
// certificates end. by is the document that people signed, facts its bytes and its envelope.
func (e *Estate) Retire(ctx context.Context, tx *db.Tx, host, by, reason string, facts ...string) error {
	h, err := InService(ctx, tx, host)
	if err != nil {
		return err
	}
	e.beats.apply(&h)
	h.RetiredAt, h.SilentAt, h.cert, h.nextCert = e.Now().UTC(), time.Time{}, "retired/"+h.ID, ""
	if err := saveHost(ctx, tx, h); err != nil {
		return err
	}
	return e.act(ctx, tx, "host.retired", subject(h.ID), "server", map[string]any{"retirement": by, "name": h.Name, "reason": reason}, facts...)
}

// spokeAgain is how often a retired host that speaks is told of.
const spokeAgain = 24 * time.Hour

// refuseRetired answers a certificate of ours that no host in service uses: with an alarm, once a day, where it was made for
// a host that is retired.
func (e *Estate) refuseRetired(ctx context.Context, cert *x509.Certificate, refusal error) error {
	host := cert.Subject.CommonName
	h, err := e.Host(ctx, host)
	if err != nil || h.RetiredAt.IsZero() {
		return refusal
	}
	if now := e.Now(); now.Sub(h.SpokeAt) >= spokeAgain {
		err = e.DB.Write(ctx, func(tx *db.Tx) error {
			h, err := loadHost(ctx, tx, host)
			if err != nil || now.Sub(h.SpokeAt) < spokeAgain {
				return err
			}
			h.SpokeAt = now
			if err := saveHost(ctx, tx, h); err != nil {
				return err
			}
			return e.act(ctx, tx, "host.retired-spoke", subject(host), "server", map[string]any{"retired_at": h.RetiredAt, "certificate": fingerprint(cert.Raw)})
		})
		if err != nil {
			return err
		}
	}
	return errRetired()
}

// RetiredWhoSpoke gives the retired hosts that spoke within a week, the latest first.
func (e *Estate) RetiredWhoSpoke(ctx context.Context) (hosts []Host, err error) {
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		hosts, err = loadSpoke(ctx, tx, e.Now().Add(-7*24*time.Hour))
		return err
	})
	return hosts, err
}
