package intake

import (
	"io"
	"slices"
	"time"
)

// Parser makes a Reading of a source's bytes. It is pure, streams, and answers fault.Invalid for bytes that are not what
// the source promises.
type Parser func(r io.Reader) (Reading, error)

// DocumentParser is a Parser of one document of a collection; path is the document's in the collection.
type DocumentParser func(path string, r io.Reader) (Reading, error)

// Source is a channel of advisories, registered at start. Where two sources speak about the same vulnerability in the
// same package and release, the one registered first gives the verdict and the others stay visible.
type Source struct {
	Name       string
	Parse      Parser        // of a source that is one file
	Collection *Collection   // of one that is many documents; then there is no Parse
	MaxBytes   int64         // a larger file or archive is refused unread
	MaxAge     time.Duration // a source that was not received for so long has fallen silent
	Inside     bool          // the server alone feeds it
	Foreign    bool          // anyone can be behind it; what it says of distributions not in VendorOf are claims, see Statement
	VendorOf   []string      // distributions, by the ID of their os-release: "debian", "rhel"
	// Heard says which bulletins prove that the publisher still reaches us: the clock then runs from the newest of them, because a
	// mailbox that no mail reaches any more can be received for ever. nil: every receipt sets the clock.
	Heard func(Bulletin) bool
}

// vends says whether what the source states of a release is the vendor's word.
func (s Source) vends(release string) bool {
	distribution, _ := Distribution(release)
	return !s.Foreign || slices.Contains(s.VendorOf, distribution)
}

// Own is the name of the source of the vulnerabilities that the CIRT itself found to be there. It speaks of single packages, so
// that it makes no release one that is spoken about.
const Own = "own"
