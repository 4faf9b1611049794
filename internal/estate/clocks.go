package estate

import (
	"context"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
)

// Clock is something that a host tells again and again, and that runs out where it does not.
type Clock string

// Clocks. Source: R-303.
const (
	Contact Clock = "contact" // anything at all
	Facts   Clock = "facts"   // all it says of itself, bytes included
	Index   Clock = "index"   // its package index was fetched
	Files   Clock = "files"   // its files were looked at whole
)

// Clocks are all clocks.
var Clocks = []Clock{Contact, Facts, Index, Files}

// Heard is when a host last told something; when it was enrolled, if that is later.
type Heard struct {
	Host, Name string
	At         time.Time
}

// HeardBefore gives the hosts in service whose clock was last set before a time.
func (e *Estate) HeardBefore(ctx context.Context, c Clock, before time.Time) (late []Heard, err error) {
	if err := e.Flush(ctx); err != nil {
		return nil, err
	}
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		late, err = loadLate(ctx, tx, c, before)
		return err
	})
	return late, err
}
