package agent

import (
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

const releaseFile = "InRelease"

// Bounds of the two files whose size no order names, in bytes; the executor's.
const (
	maxRelease = 1 << 20   // InRelease
	maxIndex   = 256 << 20 // Packages
)

// permitted gives the files to fetch for an order, all of them or, with an error, none. What people signed says which
// they are: a server that lies must not fill the host's disk. A warrant that gives this host no leave is carried without
// files, for the executor refuses it, with its signature, before it looks at any. The error OUTSIDE-WINDOW leaves the
// order with the server: by this host's clock its time has not come.
func (a *Agent) permitted(w *wire.Work) ([]wire.File, error) {
	doc, err := warrant.Parse(w.Warrant)
	if err != nil {
		return a.none(w, err)
	}
	leave, err := doc.Check(warrant.Host{ID: a.config.HostID, Root: a.root, Now: a.now()})
	if fault.CodeOf(err) == fault.OutsideWindow {
		return nil, err
	}
	if err != nil {
		return a.none(w, err)
	}
	if leave.Order.ID != w.OrderID {
		return nil, fault.Refuse(fault.MixMatch, "the server offers order %s with the warrant of order %s", w.OrderID, leave.Order.ID)
	}
	for _, f := range w.Files {
		if !named(leave, f) {
			return nil, fault.Refuse(fault.Arbitrary, "the server offers %s of %d bytes with sha256 %s, which order %s does not name: not taken",
				f.Path, f.Size, f.SHA256, w.OrderID)
		}
	}
	return w.Files, nil
}

func (a *Agent) none(w *wire.Work, err error) ([]wire.File, error) {
	a.log.Warn("the warrant gives this host no leave; it is carried without files", "order", w.OrderID, "code", fault.CodeOf(err), "error", err)
	return nil, nil
}

// named reports whether an order lets this host fetch f.
func named(l *warrant.Leave, f wire.File) bool {
	switch {
	case f.Path == releaseFile: // signed anew while the order is open, by the repository's key
		return f.Size <= maxRelease
	case f.Path == "Packages":
		return f.Size <= maxIndex && f.SHA256 == l.Order.Snapshot.Index
	case !strings.HasPrefix(f.Path, "pool/"):
		return false
	}
	return slices.ContainsFunc(l.Transactions, func(t warrant.Transaction) bool {
		return slices.ContainsFunc(t.Actions, func(x warrant.Action) bool {
			return x.File == f.Path && x.SHA256 == f.SHA256 && x.Size == f.Size
		})
	})
}
