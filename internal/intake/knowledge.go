package intake

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Knowledge is what all sources say now. It is shared: nobody changes it.
type Knowledge struct {
	Statements []Statement // sorted by Compare, then by precedence of the sources
	signals    [][]Signal  // per source, sorted by ID
	readings   map[string]reading
}

// reading is a source's bytes in force, parsed.
type reading struct {
	digest string
	Reading
}

// Knowledge gives what is in force. The same pointer comes back until a source's bytes change; then only that source's
// fact is parsed again. Facts are the truth: no table repeats them.
func (in *Intake) Knowledge(ctx context.Context) (*Knowledge, error) {
	states, err := in.States(ctx)
	if err != nil {
		return nil, err
	}
	digests := make(map[string]string, len(states))
	for _, s := range states {
		digests[s.Name] = s.Digest
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.known != nil && !slices.ContainsFunc(in.Sources, func(s Source) bool { return in.known.readings[s.Name].digest != digests[s.Name] }) {
		return in.known, nil
	}
	next := &Knowledge{readings: make(map[string]reading)}
	for _, s := range in.Sources {
		digest := digests[s.Name]
		if digest == "" {
			continue
		}
		r, err := in.reread(ctx, s, digest)
		if err != nil {
			return nil, fmt.Errorf("read what %s stated: %w", s.Name, err)
		}
		next.readings[s.Name] = r
		next.Statements = append(next.Statements, r.Statements...)
		if len(r.Signals) > 0 {
			next.signals = append(next.signals, r.Signals)
		}
	}
	slices.SortStableFunc(next.Statements, Compare)
	in.known = next
	return next, nil
}

func (in *Intake) reread(ctx context.Context, s Source, digest string) (reading, error) {
	if in.known != nil && in.known.readings[s.Name].digest == digest {
		return in.known.readings[s.Name], nil
	}
	r, err := in.parse(ctx, s, digest, 0)
	if err != nil {
		return reading{}, err
	}
	slices.SortFunc(r.Signals, func(a, b Signal) int { return strings.Compare(a.ID, b.ID) })
	return reading{digest, r}, nil
}

// Signal gives what is known of a vulnerability regardless of packages, joined over the sources.
func (k *Knowledge) Signal(id string) Signal {
	joined := Signal{ID: id}
	for _, signals := range k.signals {
		i, found := slices.BinarySearchFunc(signals, id, func(s Signal, id string) int { return strings.Compare(s.ID, id) })
		if !found {
			continue
		}
		s := signals[i]
		joined.Exploited = cmp.Or(joined.Exploited, s.Exploited)
		joined.Score, joined.Percentile = cmp.Or(joined.Score, s.Score), cmp.Or(joined.Percentile, s.Percentile)
	}
	return joined
}
