package api

import (
	"context"
	"encoding/json"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/once"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// Keyed is a request that its sender can send again.
type Keyed struct {
	Key string `header:"Idempotency-Key" maxLength:"128" pattern:"^[ -~]*$" doc:"made up by the caller, for 24 hours: the same request with it makes nothing again and has the same answer, or a conflict where that holds a secret"`
}

// creation is a request to make something. Header and body are exported for huma to fill.
type creation[B any] struct {
	Keyed
	Body B
}

// create is serve for an operation that makes something, which a program that saw no answer may ask for again.
func create[B, O any](d *door, o operation, kept once.Kept, do func(context.Context, staff.Session, *B) (O, error)) {
	serve(d, o, func(ctx context.Context, s staff.Session, in *creation[B]) (out O, err error) {
		if in.Key == "" {
			return do(ctx, s, &in.Body)
		}
		asked, err := json.Marshal(in.Body)
		if err != nil {
			return out, err
		}
		r := once.Request{Person: s.Person.ID, Route: o.id, Key: in.Key, Digest: envelope.Digest(asked)}
		answer, err := d.Once.Do(ctx, r, kept, func() ([]byte, error) {
			made, err := do(ctx, s, &in.Body)
			if err != nil {
				return nil, err
			}
			return json.Marshal(made)
		})
		if err != nil {
			return out, err
		}
		return out, json.Unmarshal(answer, &out)
	})
}
