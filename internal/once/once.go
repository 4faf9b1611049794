// Package once lets a program send a request again that makes something, and makes it once: what a request with a key was
// answered is remembered for a day.
package once

import (
	"context"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Life is how long a key is remembered.
const Life = 24 * time.Hour

// Config says what the room is made of.
type Config struct {
	DB  *db.DB
	Now func() time.Time
}

// Once remembers requests.
type Once struct{ Config }

// New opens the room.
func New(c Config) *Once { return &Once{c} }

// Request is one that may come again. Its key, made up by the caller, is one among those of the person on the route.
type Request struct {
	Person, Route, Key string
	Digest             string // of what is asked for
}

// Kept says whether an answer may be remembered.
type Kept bool

// An answer with a secret is for the caller only, once.
const (
	Answer Kept = true
	Secret Kept = false
)

// Do runs do the first time that it meets the request's key, and gives its answer from then on. It is a Conflict if the key
// came with another request, or if there is no answer: because it was a secret, or the first request is not over, or it was
// cut off, so that the caller has to look at what is there. Where do refuses, nothing was made, and the key is free again.
func (o *Once) Do(ctx context.Context, r Request, kept Kept, do func() ([]byte, error)) ([]byte, error) {
	before, err := o.claim(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("idempotency key: %w", err)
	}
	if before != nil {
		return before.of(r)
	}
	answer, refused := do()
	unknown := refused != nil && fault.KindOf(refused) == fault.Internal
	if unknown || refused == nil && kept == Secret {
		return answer, refused // the key stays taken
	}
	ctx = context.WithoutCancel(ctx) // the caller may be gone, which is when they will come again
	err = o.DB.Write(ctx, func(tx *db.Tx) error {
		if refused != nil {
			return release(ctx, tx, r)
		}
		return keep(ctx, tx, r, answer)
	})
	if err != nil {
		return nil, fmt.Errorf("remember the answer to an idempotency key: %w", err)
	}
	return answer, refused
}

// Sweep forgets keys that are over.
func (o *Once) Sweep(ctx context.Context) error {
	err := o.DB.Write(ctx, func(tx *db.Tx) error { return forget(ctx, tx, o.Now()) })
	if err != nil {
		return fmt.Errorf("forget idempotency keys: %w", err)
	}
	return nil
}

// claim takes the key for a request; if it is taken, it gives the request that came before.
func (o *Once) claim(ctx context.Context, r Request) (before *earlier, err error) {
	err = o.DB.Write(ctx, func(tx *db.Tx) error {
		now := o.Now()
		if err := forget(ctx, tx, now); err != nil {
			return err
		}
		first, err := take(ctx, tx, r, now.Add(Life))
		if err != nil || first {
			return err
		}
		before, err = load(ctx, tx, r)
		return err
	})
	return before, err
}

// earlier is a request that came with the same key.
type earlier struct {
	digest string
	answer []byte // empty: there is none to give
}

func (e *earlier) of(r Request) ([]byte, error) {
	if e.digest != r.Digest {
		return nil, fault.New(fault.Conflict, "the idempotency key was used for another request; make up a new key")
	}
	if len(e.answer) == 0 {
		return nil, fault.New(fault.Conflict, "a request with this idempotency key was already made, and its answer is not there to be "+
			"given again: it held a secret, or it was cut off; look at what there is, then make up a new key")
	}
	return e.answer, nil
}
