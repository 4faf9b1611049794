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
	Support    []Support   // by precedence of the sources
	spoken     []spoken    // what names no package, by precedence of the sources
	readings   map[string]reading
}

// reading is a source's bytes in force, parsed.
type reading struct {
	digest    string
	file      Document
	documents map[string]Document // of a collection, by digest
	named     map[string][]int    // bulletins, by what they name
	Reading
}

// Knowledge gives what is in force. The same pointer comes back until a source's bytes change; then only that source's
// fact is parsed again. Facts are the truth: no table repeats them.
func (in *Intake) Knowledge(ctx context.Context) (*Knowledge, error) {
	states, err := in.States(ctx)
	if err != nil {
		return nil, err
	}
	digests, byName := make(map[string]string, len(states)), make(map[string]SourceState, len(states))
	for _, s := range states {
		digests[s.Name], byName[s.Name] = s.Digest, s
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.known != nil && !slices.ContainsFunc(in.Sources, func(s Source) bool { return in.known.readings[s.Name].digest != digests[s.Name] }) {
		return in.known, nil
	}
	next := &Knowledge{readings: make(map[string]reading)}
	for _, s := range in.Sources {
		if digests[s.Name] == "" {
			continue
		}
		r, err := in.reread(ctx, s, byName[s.Name])
		if err != nil {
			return nil, fmt.Errorf("read what %s stated: %w", s.Name, err)
		}
		next.readings[s.Name] = r
		next.Statements = append(next.Statements, r.Statements...)
		next.Support = append(next.Support, r.Support...)
		if len(r.Signals)+len(r.Bulletins) > 0 {
			next.spoken = append(next.spoken, spoken{s.Name, r.Signals})
		}
	}
	slices.SortStableFunc(next.Statements, Compare)
	in.known = next
	return next, nil
}

func (in *Intake) reread(ctx context.Context, s Source, state SourceState) (reading, error) {
	if in.known != nil && in.known.readings[s.Name].digest == state.Digest {
		return in.known.readings[s.Name], nil
	}
	r := reading{digest: state.Digest, file: Document{Digest: state.Digest, Bytes: state.Bytes, From: state.From, FetchedAt: state.ReceivedAt}}
	var err error
	if s.Collection == nil {
		r.Reading, err = in.parse(ctx, s, state.Digest, 0)
	} else {
		var x index
		if x, err = in.loadIndex(ctx, state.Digest); err == nil {
			r.Reading, err = in.collect(ctx, s, x)
		}
		r.documents = make(map[string]Document, len(x.Documents))
		for _, d := range x.Documents {
			r.documents[d.Digest] = d
		}
	}
	if err != nil {
		return reading{}, err
	}
	slices.SortFunc(r.Signals, func(a, b Signal) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(r.Bulletins, func(a, b Bulletin) int { return strings.Compare(a.ID, b.ID) })
	r.named = make(map[string][]int)
	for i, b := range r.Bulletins {
		for _, name := range b.Names {
			r.named[name] = append(r.named[name], i)
		}
	}
	return r, nil
}

// Provenance gives the bytes behind a statement of this knowledge: a document of a collection, or the source's file, which
// has no path.
func (k *Knowledge) Provenance(s Statement) Document {
	return k.readings[s.Source].document(s.Document)
}

// document gives one by digest, or the file that the source is.
func (r reading) document(digest string) Document {
	if digest == "" {
		return r.file
	}
	return r.documents[digest]
}

// Signal gives what is known of a vulnerability regardless of packages, joined over the sources.
func (k *Knowledge) Signal(id string) Signal {
	joined := Signal{ID: id}
	for _, from := range k.spoken {
		s, found := from.find(id)
		if !found {
			continue
		}
		joined.Exploited = cmp.Or(joined.Exploited, s.Exploited)
		joined.About = joined.About.join(s.About)
		joined.Score, joined.Percentile = cmp.Or(joined.Score, s.Score), cmp.Or(joined.Percentile, s.Percentile)
	}
	return joined
}
