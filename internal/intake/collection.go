package intake

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Collection makes a source a set of documents in place of one file.
type Collection struct {
	Parse       DocumentParser
	IsDocument  func(path string) bool // what else comes is counted and passed over
	MaxDocument int64                  // bytes of one
	MaxFiles    int                    // documents, signatures and other files of one delivery
	MaxUnpacked int64                  // bytes of all files of one delivery
	// Verify checks a detached signature and gives the fingerprint of the pinned key that made it. With it a document
	// without a good signature is refused; nil: signatures are not looked at.
	Verify func(signed io.ReadSeeker, signature []byte) (signer string, err error)
}

// Document is one document of a collection: what is in force of it, and why what came last was refused.
type Document struct {
	Path      string    `json:"path"`
	Digest    string    `json:"digest,omitempty"` // of the bytes in force, a blob; empty: none was ever accepted
	Bytes     int64     `json:"bytes,omitempty"`
	From      string    `json:"from,omitempty"` // where these bytes came from
	FetchedAt time.Time `json:"fetched_at,omitzero"`
	Revised   time.Time `json:"revised,omitzero"`    // when the publisher last changed it, as it says itself
	Listed    time.Time `json:"listed,omitzero"`     // when it changed, as the publisher's list of documents says
	SignedBy  string    `json:"signed_by,omitempty"` // fingerprint of the pinned OpenPGP key; empty: no signature was checked

	Refused       string `json:"refused,omitempty"`
	RefusedDigest string `json:"refused_digest,omitempty"`
}

// maxIndex bounds an index, in bytes: 500,000 documents of 500 bytes.
const maxIndex = 256 << 20

// index is what a collection's fact in force holds: its documents, sorted by path.
type index struct {
	Documents []Document `json:"documents"`
	base      string     // digest of the index that it was made from
}

func (x index) find(path string) (Document, bool) {
	i, found := slices.BinarySearchFunc(x.Documents, path, func(d Document, path string) int { return strings.Compare(d.Path, path) })
	if !found {
		return Document{Path: path}, false
	}
	return x.Documents[i], true
}

// count gives how many documents are in force and of how many the last bytes were refused, with the reason of the first.
func (x index) count() (accepted, refused int, bytes int64, why string) {
	for _, d := range x.Documents {
		if d.Digest != "" {
			accepted++
			bytes += d.Bytes
		}
		if d.Refused != "" {
			if refused++; refused == 1 {
				why = d.Path + ": " + d.Refused
			}
		}
	}
	return accepted, refused, bytes, why
}

// check refuses an index most of whose documents cannot be read: something is wrong with all of it. A few bad ones do not
// hide the others.
func (x index) check() error {
	const few = 3
	accepted, refused, _, why := x.count()
	if accepted == 0 && refused == 0 {
		return fault.New(fault.Invalid, "holds no document of this source")
	}
	if accepted == 0 || refused > max(few, len(x.Documents)/20) {
		return fault.New(fault.Invalid, "%d of %d documents cannot be accepted, the first is %s", refused, len(x.Documents), why)
	}
	return nil
}

func (in *Intake) loadIndex(ctx context.Context, digest string) (x index, err error) {
	if digest == "" {
		return index{}, nil
	}
	b, err := blob.ReadAll(ctx, in.Blobs, digest, maxIndex)
	if err == nil {
		err = json.Unmarshal(b, &x)
	}
	if err != nil {
		return index{}, fmt.Errorf("read index %s: %w", digest, err)
	}
	return x, nil
}

// readDocument parses a document once; what comes back is shared.
func (in *Intake) readDocument(ctx context.Context, src Source, path, digest string) (Reading, error) {
	return in.read.Get(src.Name+"/"+digest+"/"+path, func() (Reading, int, error) {
		f, err := in.Blobs.Open(ctx, digest)
		if err != nil {
			return Reading{}, 0, err
		}
		defer f.Close()
		r, err := src.Collection.Parse(path, f)
		if err != nil {
			return Reading{}, 0, err
		}
		r.from(src, digest)
		r.Statements = Lead(r.Statements)
		const statement = 500 // bytes, measured with its strings
		return r, len(digest) + statement*(len(r.Statements)+len(r.Signals)+len(r.Support)+len(r.Bulletins)+1), nil
	})
}

// collect joins what the documents in force say.
func (in *Intake) collect(ctx context.Context, src Source, x index) (Reading, error) {
	var all Reading
	for _, d := range x.Documents {
		if d.Digest == "" {
			continue
		}
		r, err := in.readDocument(ctx, src, d.Path, d.Digest)
		if err != nil {
			return Reading{}, fmt.Errorf("document %s: %w", d.Path, err)
		}
		all.Statements, all.Signals = append(all.Statements, r.Statements...), append(all.Signals, r.Signals...)
		all.Support, all.Bulletins = append(all.Support, r.Support...), append(all.Bulletins, r.Bulletins...)
		all.Window = all.Window || r.Window
		for why, n := range r.PassedOver {
			if all.PassedOver == nil {
				all.PassedOver = map[string]int{}
			}
			all.PassedOver[why] += n
		}
	}
	all.Statements, all.Bulletins = Lead(all.Statements), distinct(all.Bulletins)
	return all, nil
}

// Documents gives the documents of a collection in force, by path; refused ones alone where asked for. A source that is
// one file has none.
func (in *Intake) Documents(ctx context.Context, source string, refused bool) ([]Document, error) {
	src, err := in.source(source)
	if err != nil || src.Collection == nil {
		return nil, err
	}
	state, err := in.state(ctx, source)
	if err != nil {
		return nil, err
	}
	x, err := in.loadIndex(ctx, state.Digest)
	if refused {
		x.Documents = slices.DeleteFunc(x.Documents, func(d Document) bool { return d.Refused == "" })
	}
	return x.Documents, err
}
