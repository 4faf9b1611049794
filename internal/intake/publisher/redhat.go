package publisher

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// archiveName is what archive_latest.txt may name.
var archiveName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,100}\.tar\.(zst|xz|gz)$`)

// RedHatArchive brings all documents of a directory in the archive that archive_latest.txt names. done removes what was kept
// aside; it is called after the delivery was taken.
func (s Site) RedHatArchive(ctx context.Context, c intake.Collection) (d intake.Delivery, done func(), err error) {
	b, err := s.get(ctx, s.URL, "archive_latest.txt", 1000)
	if err != nil {
		return d, nil, err
	}
	name := strings.TrimSpace(string(b))
	if !archiveName.MatchString(name) {
		return d, nil, fault.New(fault.Invalid, "archive_latest.txt names no archive")
	}
	f, size, done, err := s.spool(ctx, s.URL, name)
	if err != nil {
		return d, nil, err
	}
	d = intake.Archive(f, size, c, s.URL+name)
	if s.Verify != nil {
		signature, err := s.get(ctx, s.URL, name+".asc", maxBeside)
		if err == nil {
			d.SignedBy, err = s.Verify(f, signature)
		}
		if err != nil {
			done()
			return d, nil, err
		}
	}
	return d, done, nil
}

// RedHat brings what changed in a directory since the documents known: by changes.csv, and by deletions.csv what is gone.
func (s Site) RedHat(ctx context.Context, known []intake.Document) (intake.Delivery, error) {
	have := byPath(known)
	b, err := s.get(ctx, s.URL, "changes.csv", maxList)
	if err != nil {
		return intake.Delivery{}, err
	}
	changes, err := readCSV(b)
	if err != nil {
		return intake.Delivery{}, err
	}
	d := s.bring(ctx, s.URL, changes, have)
	if b, err = s.get(ctx, s.URL, "deletions.csv", maxList); errors.Is(err, errMissing) {
		return d, nil
	} else if err != nil {
		return d, err
	}
	deletions, err := readCSV(b)
	if err != nil {
		return d, err
	}
	alive := make(map[string]listed, len(changes))
	for _, c := range changes {
		alive[c.path] = c
	}
	for _, gone := range deletions {
		if document, ok := have[gone.path]; ok && gone.at.After(document.Revised) && !alive[gone.path].at.After(gone.at) {
			d.Gone = append(d.Gone, gone.path)
		}
	}
	return d, nil
}
