package intake

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/unpack"
)

// Delivery brings documents of a collection.
type Delivery struct {
	From     string   // where they come from, for people
	Whole    bool     // what is not delivered is gone
	Gone     []string // paths of documents that the publisher deleted
	SignedBy string   // whose signature over all of it was checked; empty: each document has its own or none
	// Each calls take with every file: documents, and beside a document its check sums (.sha256, .sha512) and signature
	// (.asc), in any order. It comes back with an error of take.
	Each func(take func(File) error) error
}

// File is a file of a delivery.
type File struct {
	Path    string    // unique, and plain as unpack.CheckPath wants it
	From    string    // its own address; empty: Delivery.From
	Listed  time.Time // when it changed, as the publisher's list of documents says
	Missing bool      // the publisher lists it and does not have it
	Body    io.Reader
}

// Endings of the files that stand beside a document. Source: CSAF 2.0, 7.1.18 and 7.1.19.
var besides = []string{".sha256", ".sha512", ".asc"}

// maxBeside bounds a check sum or signature, in bytes.
const maxBeside = 64 << 10

// staged is a document that was received but not looked at.
type staged struct {
	Document
	sha512 string
	beside map[string][]byte // by ending
	bad    error             // it cannot even be kept
}

// Deliver takes documents. Each is accepted or refused by itself; of a refused one the version before stays in force,
// and the index says why. The whole is refused as Import does: when it is damaged, states 5 % less than before, or most
// of its documents are refused. It is a Conflict where others came while its documents were read. An error that is not fault.Invalid is none of the delivery's fault and changes nothing.
func (in *Intake) Deliver(ctx context.Context, who, source string, d Delivery) (Receipt, error) {
	src, err := in.source(source)
	if err != nil {
		return Receipt{}, err
	}
	if src.Collection == nil {
		return Receipt{}, fault.New(fault.Invalid, "source %s is one file, not a collection of documents", source)
	}
	receipt := Receipt{From: Clip(d.From, maxNote)}
	err = in.deliver(ctx, who, src, d, &receipt)
	return in.finish(ctx, who, src, receipt, err)
}

func (in *Intake) deliver(ctx context.Context, who string, src Source, d Delivery, receipt *Receipt) error {
	came, other, err := in.stage(ctx, *src.Collection, d)
	if err != nil {
		return err
	}
	state, err := in.state(ctx, src.Name) // late: what was long on its way is put beside what came meanwhile
	if err != nil {
		return err
	}
	before, err := in.loadIndex(ctx, state.Digest)
	if err != nil {
		return err
	}
	gone := make(map[string]bool, len(d.Gone))
	for _, path := range d.Gone {
		gone[path] = true
	}
	after := index{Documents: []Document{}, base: state.Digest}
	for _, old := range before.Documents {
		if came[old.Path] == nil && !d.Whole && !gone[old.Path] {
			after.Documents = append(after.Documents, old)
		}
	}
	for path, s := range came {
		old, _ := before.find(path)
		next, err := in.judge(ctx, src, d, old, s)
		if err != nil {
			return err
		}
		after.Documents = append(after.Documents, next)
	}
	slices.SortFunc(after.Documents, func(a, b Document) int { return strings.Compare(a.Path, b.Path) })
	if receipt.Digest, err = blob.PutBytes(ctx, in.Blobs, encode(after)); err != nil {
		return err
	}
	receipt.Other = other
	return in.receiveIndex(ctx, who, src, after, receipt, "")
}

// receiveIndex puts an index in force. With a reason, a person accepts that it shrank.
func (in *Intake) receiveIndex(ctx context.Context, who string, src Source, x index, receipt *Receipt, reason string) error {
	receipt.Documents, receipt.RefusedDocuments, receipt.Bytes, _ = x.count()
	if err := x.check(); err != nil {
		return err
	}
	reading, err := in.collect(ctx, src, x)
	if err != nil {
		return err
	}
	return in.receive(ctx, who, src, reading, x.base, receipt, reason)
}

// stage keeps the documents of a delivery as blobs and joins them with the files beside them. other counts the files that
// are neither.
func (in *Intake) stage(ctx context.Context, c Collection, d Delivery) (came map[string]*staged, other int, err error) {
	came, beside := map[string]*staged{}, map[string][]byte{}
	files, total := 0, int64(0)
	err = d.Each(func(f File) error {
		if err := unpack.CheckPath(f.Path); err != nil {
			return err
		}
		_, again := beside[f.Path]
		if files++; files > c.MaxFiles || came[f.Path] != nil || again {
			return fault.New(fault.Invalid, "holds more than %d files, or %s twice", c.MaxFiles, f.Path)
		}
		switch ending := endingOf(f.Path); {
		case ending != "" && c.IsDocument(strings.TrimSuffix(f.Path, ending)):
			b, err := io.ReadAll(io.LimitReader(f.Body, maxBeside+1))
			if len(b) > maxBeside {
				return fault.New(fault.Invalid, "%s is larger than %d bytes", f.Path, maxBeside)
			}
			beside[f.Path] = b
			return err
		case c.IsDocument(f.Path):
			s, err := in.keep(ctx, c, d, f)
			came[f.Path] = s
			if total += s.Bytes; total > c.MaxUnpacked {
				return fault.New(fault.Invalid, "holds more than %d bytes", c.MaxUnpacked)
			}
			return err
		}
		other++
		return nil
	})
	for path, s := range came {
		for _, ending := range besides {
			s.beside[ending] = beside[path+ending]
		}
	}
	return came, other, err
}

func endingOf(path string) string {
	for _, ending := range besides {
		if strings.HasSuffix(path, ending) {
			return ending
		}
	}
	return ""
}

// keep puts a document among the blobs, unless it is too large.
func (in *Intake) keep(ctx context.Context, c Collection, d Delivery, f File) (*staged, error) {
	s := &staged{Document: Document{Path: f.Path, From: Clip(f.From, maxNote), FetchedAt: in.Now(), Listed: moment(f.Listed)}, beside: map[string][]byte{}}
	if f.Missing {
		s.bad = fault.New(fault.Invalid, "the publisher lists it, and does not have it")
		return s, nil
	}
	if s.From == "" {
		s.From = Clip(d.From, maxNote)
	}
	b, err := io.ReadAll(io.LimitReader(f.Body, c.MaxDocument+1))
	if err != nil {
		return s, err
	}
	if s.Bytes = int64(len(b)); s.Bytes > c.MaxDocument {
		s.bad = fault.New(fault.Invalid, "larger than %d bytes, which is the most a document may have", c.MaxDocument)
		return s, nil
	}
	sum := sha512.Sum512(b)
	s.sha512 = hex.EncodeToString(sum[:])
	s.Digest, err = blob.PutBytes(ctx, in.Blobs, b)
	return s, err
}

// judge accepts a document in place of the old one, or refuses it.
func (in *Intake) judge(ctx context.Context, src Source, d Delivery, old Document, s *staged) (Document, error) {
	next, err := in.accept(ctx, src, d, old, s)
	if fault.KindOf(err) == fault.Invalid || fault.CodeOf(err) == fault.BadSignature {
		old.Refused, old.RefusedDigest = Clip(err.Error(), maxNote), s.Digest
		return old, nil
	}
	return next, err
}

func (in *Intake) accept(ctx context.Context, src Source, d Delivery, old Document, s *staged) (Document, error) {
	if s.bad != nil {
		return Document{}, s.bad
	}
	if err := s.checkSums(); err != nil {
		return Document{}, err
	}
	same := s.Digest == old.Digest
	if same {
		listed := s.Listed
		s.Document = old
		s.Listed, s.Refused, s.RefusedDigest = listed, "", ""
	}
	if src.Collection.Verify != nil && s.SignedBy == "" {
		if s.SignedBy = d.SignedBy; s.SignedBy == "" {
			if err := in.verify(ctx, src, s); err != nil {
				return Document{}, err
			}
		}
	}
	if same {
		return s.Document, nil
	}
	reading, err := in.readDocument(ctx, src, s.Path, s.Digest)
	if err != nil {
		return Document{}, err
	}
	revised := moment(reading.Revised)
	if revised.Before(old.Revised) {
		return Document{}, fault.New(fault.Invalid, "revised on %s, but the version in force is of %s: an older one came again",
			revised.Format(time.RFC3339), old.Revised.Format(time.RFC3339))
	}
	s.Revised = revised
	return s.Document, nil
}

// checkSums compares the document with the check sums that came beside it.
func (s *staged) checkSums() error {
	for ending, have := range map[string]string{".sha256": s.Digest, ".sha512": s.sha512} {
		if line := s.beside[ending]; line != nil {
			if said, _, _ := strings.Cut(strings.TrimSpace(string(line)), " "); !strings.EqualFold(said, have) {
				return fault.New(fault.Invalid, "it has not the digest that %s%s names", s.Path, ending)
			}
		}
	}
	return nil
}

func (in *Intake) verify(ctx context.Context, src Source, s *staged) error {
	signature := s.beside[".asc"]
	if signature == nil {
		return fault.Refuse(fault.BadSignature, "no signature came with it, and the source's documents are signed by pinned keys")
	}
	b, err := blob.ReadAll(ctx, in.Blobs, s.Digest, src.Collection.MaxDocument)
	if err != nil {
		return err
	}
	s.SignedBy, err = src.Collection.Verify(bytes.NewReader(b), signature)
	return err
}

// importArchive delivers the files of a zip or tar archive, which is the whole collection; or a single document in JSON, which
// takes the place of the one with its name and leaves the others.
func (in *Intake) importArchive(ctx context.Context, who string, src Source, r io.Reader, from string) (Receipt, error) {
	spool, err := os.CreateTemp("", "patchwarrant-import-")
	if err != nil {
		return Receipt{}, err
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	size, err := io.Copy(spool, io.LimitReader(r, src.MaxBytes+1))
	if err != nil {
		return Receipt{}, fmt.Errorf("receive %s: %w", src.Name, err)
	}
	receipt := Receipt{From: Clip(from, maxNote), Bytes: size}
	if size > src.MaxBytes {
		err = fault.New(fault.Invalid, "larger than %d bytes, which is the most the source may have", src.MaxBytes)
	} else {
		err = in.deliver(ctx, who, src, archiveOrDocument(spool, size, *src.Collection, from), &receipt)
	}
	if fault.KindOf(err) == fault.Invalid && receipt.Digest == "" { // what was refused is kept, to be looked at
		if _, e := spool.Seek(0, io.SeekStart); e != nil {
			return Receipt{}, e
		}
		var e error
		if receipt.Digest, _, e = in.Blobs.Put(ctx, spool); e != nil {
			return Receipt{}, errors.Join(err, e)
		}
	}
	return in.finish(ctx, who, src, receipt, err)
}

func archiveOrDocument(spool *os.File, size int64, c Collection, from string) Delivery {
	first := make([]byte, 1)
	if n, err := spool.ReadAt(first, 0); n < 1 || err != nil || first[0] != '{' {
		return Archive(spool, size, c, from)
	}
	name, _, _ := strings.Cut(from, "?")
	if name = path.Base(strings.TrimPrefix(name, "file:")); !c.IsDocument(name) {
		name += ".json"
	}
	return Delivery{From: from, Each: func(take func(File) error) error {
		return take(File{Path: name, Body: io.NewSectionReader(spool, 0, size)})
	}}
}

// Archive is the delivery of all files of an archive, see unpack.Walk.
func Archive(archive io.ReaderAt, size int64, c Collection, from string) Delivery {
	return Delivery{From: from, Whole: true, Each: func(take func(File) error) error {
		limits := unpack.Limits{Files: c.MaxFiles, File: max(c.MaxDocument, maxBeside) + 1, Total: c.MaxUnpacked}
		return unpack.Walk(archive, size, limits, func(f unpack.File) error { return take(File{Path: f.Path, Body: f.Body}) })
	}}
}
