// Package staff knows the people: the chain of trust roots, logins, sessions and tokens, accounts and their clocks, and who
// may do what.
package staff

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Config says what a staff room is made of.
type Config struct {
	DB       *db.DB
	Ledger   *ledger.Ledger
	Blobs    blob.Store // what authenticators attested
	Passkeys Passkeys
	Now      func() time.Time

	Providers []Provider

	Hold func(context.Context, time.Duration) // holds back the answer to who fails in a row; nil: by the clock
}

// Staff holds the trust roots and the accounts of one server.
type Staff struct {
	Config
	current  atomic.Pointer[trustroot.Root] // the latest verified; a hint, the database decides
	throttle throttle
}

// New opens the room.
func New(c Config) *Staff {
	s := &Staff{Config: c}
	if s.Hold == nil {
		s.Hold = s.throttle.hold
	}
	return s
}

// Install takes the first trust root, pinned by the digest of its payload that people were given out of band. It must name
// this server's ledger. Done once, at the server's console or by the bootstrap link, which is dead from then on.
func (s *Staff) Install(ctx context.Context, e envelope.Envelope, digest string) (*trustroot.Root, error) {
	var r *trustroot.Root
	err := s.DB.Write(ctx, func(tx *db.Tx) (err error) {
		r, err = s.InstallIn(ctx, tx, e, digest)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("install trust root: %w", err)
	}
	return r, nil
}

// InstallIn is Install as a part of what else tx does.
func (s *Staff) InstallIn(ctx context.Context, tx *db.Tx, e envelope.Envelope, digest string) (*trustroot.Root, error) {
	r, err := trustroot.First(e, digest, s.Now())
	if err != nil {
		return nil, err
	}
	if err := s.NoRoot(ctx, tx); err != nil {
		return nil, err
	}
	return r, s.enforce(ctx, tx, r, e, "trust-root.installed", "server")
}

// NoRoot refuses (fault.Conflict) if a trust root is in force.
func (s *Staff) NoRoot(ctx context.Context, tx *db.Tx) error {
	version, _, err := latestRoot(ctx, tx)
	if err == nil && version > 0 {
		err = fault.New(fault.Conflict, "trust root version %d is in force; advance it instead", version)
	}
	return err
}

// Advance takes the next trust root, signed by a quorum under the one in force and under itself.
func (s *Staff) Advance(ctx context.Context, who string, e envelope.Envelope) (next *trustroot.Root, err error) {
	current, err := s.CurrentRoot(ctx)
	if err != nil {
		return nil, err
	}
	if next, err = current.Next(e, s.Now()); err != nil {
		return nil, fmt.Errorf("advance trust root: %w", err)
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		version, digest, err := latestRoot(ctx, tx)
		if err != nil {
			return err
		}
		if version != current.Version || digest != current.Digest() {
			return fault.New(fault.Conflict, "trust root version %d came meanwhile", version)
		}
		return s.enforce(ctx, tx, next, e, "trust-root.advanced", "person/"+who)
	})
	if err != nil {
		return nil, fmt.Errorf("advance trust root: %w", err)
	}
	return next, nil
}

// enforce puts a verified root in force.
func (s *Staff) enforce(ctx context.Context, tx *db.Tx, r *trustroot.Root, e envelope.Envelope, kind, who string) error {
	if r.Ledger.Origin != s.Ledger.Origin || !slices.Contains(r.Ledger.Keys, s.Ledger.Verifier) {
		return fault.New(fault.Conflict, "the trust root does not name this server's ledger, origin %q with key %q",
			s.Ledger.Origin, s.Ledger.Verifier)
	}
	if err := saveRoot(ctx, tx, r, e, s.Now()); err != nil {
		return err
	}
	if err := endLinks(ctx, tx); err != nil {
		return err
	}
	if err := s.settle(ctx, tx, r); err != nil {
		return err
	}
	detail := struct {
		Version   int64     `json:"version"`
		ExpiresAt time.Time `json:"expires_at"`
	}{r.Version, r.ExpiresAt}
	return s.act(ctx, tx, kind, fmt.Sprintf("trust-root/%d", r.Version), who, detail, r.Digest())
}

// act appends an act with a detail.
func (s *Staff) act(ctx context.Context, tx *db.Tx, kind, subject, who string, detail any, facts ...string) error {
	b, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	_, err = s.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: subject, At: s.Now(), Who: who, Facts: facts, Detail: b})
	return err
}

// Roots gives the envelopes of the trust roots from a version on, oldest first.
func (s *Staff) Roots(ctx context.Context, from int64) (roots []envelope.Envelope, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		roots, err = loadRoots(ctx, tx, from)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load trust roots: %w", err)
	}
	return roots, nil
}

// RootInForce says which trust root is in force as tx sees it. A tx that has appended an act sees it so until it commits,
// for whoever puts another in force appends an act too.
func (s *Staff) RootInForce(ctx context.Context, tx *db.Tx) (warrant.RootRef, error) {
	version, digest, err := latestRoot(ctx, tx)
	return warrant.RootRef{Version: version, SHA256: digest}, err
}

// Root is what rooms in which people sign need of Staff.
type Root interface {
	CurrentRoot(ctx context.Context) (*trustroot.Root, error)
	RootInForce(ctx context.Context, tx *db.Tx) (warrant.RootRef, error)
}

// Unmoved refuses what was made under a trust root, with the code ROOT-ROLLBACK, once another is in force; tx has appended an act.
func Unmoved(ctx context.Context, tx *db.Tx, r Root, made warrant.RootRef) error {
	now, err := r.RootInForce(ctx, tx)
	if err != nil || made == now {
		return err
	}
	return fault.Refuse(fault.RootRollback, "trust root version %d came into force meanwhile: propose it again under that", now.Version)
}

// CurrentRoot gives the trust root in force. The database is not trusted for it: the whole chain is verified from version
// 1 on when it changes. fault.Unavailable if none is installed. It may have expired: see trustroot.Root.Current.
func (s *Staff) CurrentRoot(ctx context.Context) (*trustroot.Root, error) {
	var roots []envelope.Envelope
	cached := s.current.Load()
	err := s.DB.Read(ctx, func(tx *db.Tx) error {
		version, digest, err := latestRoot(ctx, tx)
		if err != nil || cached != nil && cached.Version == version && cached.Digest() == digest {
			return err
		}
		cached = nil
		roots, err = loadRoots(ctx, tx, 1)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load trust root: %w", err)
	}
	if cached != nil {
		return cached, nil
	}
	r, err := verify(roots)
	if err != nil {
		return nil, fmt.Errorf("load trust root: %w", err)
	}
	s.current.Store(r)
	return r, nil
}

// verify walks a chain of roots from version 1. Roots that have expired meanwhile are part of it, so each is looked at
// when it was made.
func verify(roots []envelope.Envelope) (*trustroot.Root, error) {
	if len(roots) == 0 {
		return nil, fault.New(fault.Unavailable, "no trust root is installed: run patchwarrantd trust-root install, or open the link that patchwarrantd serve printed")
	}
	first, err := trustroot.Decode(roots[0].Payload)
	if err != nil {
		return nil, err
	}
	if first, err = trustroot.First(roots[0], first.Digest(), first.MadeAt); err != nil {
		return nil, err
	}
	return first.Follow(roots[1:])
}
