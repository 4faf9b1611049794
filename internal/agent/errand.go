package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/agent/inventory"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Phases of an errand, in their order. Each names what is done and durable; the next step may have begun.
const (
	taken    = "taken"    // the warrant is here
	fetched  = "fetched"  // all files are here, with the right digests
	observed = "observed" // the host's state before is known to the server
	begun    = "begun"    // the server said yes; the executor may be at work
	executed = "executed" // the executor's signed report is here
	compared = "compared" // the host's state after is known to the server
)

// errand is the carrying of one warrant. Its file is written at the end of each phase, so an agent that was killed goes on
// with the step it was at; every step can be done again, and the executor never does an order twice.
type errand struct {
	Order  string            `json:"order"`
	Phase  string            `json:"phase"`
	Work   wire.Work         `json:"work"`
	Before wire.Observation  `json:"before"`
	Report envelope.Envelope `json:"report"`
	After  wire.Observation  `json:"after"`
}

// readErrand gives the order in hand; nil for none.
func (a *Agent) readErrand() (*errand, error) {
	var e errand
	err := readJSON(a.places.errand(), &e)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !wire.ValidOrder(e.Order) {
		err = fault.New(fault.Internal, "%s is damaged", a.places.errand())
	}
	return &e, err
}

// accept takes an order in hand. A host without an executor takes none.
func (a *Agent) accept(w *wire.Work) (*errand, error) {
	if !executorListens(a.places) {
		a.log.Warn("an order was offered, but this host is observe-only: no executor listens", "order", w.OrderID, "socket", a.places.Socket)
		return nil, nil
	}
	files, err := a.permitted(w)
	if fault.CodeOf(err) == fault.OutsideWindow {
		a.log.Warn("an order is left with the server", "order", w.OrderID, "error", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e := &errand{Order: w.OrderID, Work: wire.Work{OrderID: w.OrderID, Warrant: w.Warrant, Files: files}}
	return e, a.reach(e, taken)
}

// reach makes a phase durable.
func (a *Agent) reach(e *errand, phase string) error {
	next := *e
	next.Phase = phase
	if err := writeJSON(a.places.errand(), 0o600, next); err != nil {
		return err
	}
	*e = next
	a.log.Info("errand", "order", e.Order, "phase", phase)
	return nil
}

// carry takes the remaining steps of an errand.
func (a *Agent) carry(ctx context.Context, e *errand) error {
	defer debug.FreeOSMemory() // the facts about packages and file trees need more than the agent has at rest
	steps := []struct {
		from, to string
		do       func(context.Context, *errand) error
	}{
		{taken, fetched, a.fetch},
		{fetched, observed, a.before},
		{observed, begun, a.begin},
		{begun, executed, a.execute},
		{executed, compared, a.after},
	}
	for _, s := range steps {
		if e.Phase != s.from {
			continue
		}
		if err := s.do(ctx, e); err != nil {
			if settled(err) && (s.from == taken || s.from == observed) {
				a.log.Warn("the server took the order back before anything was done", "order", e.Order, "error", err)
				return a.drop(e)
			}
			return err
		}
		if err := a.reach(e, s.to); err != nil {
			return err
		}
	}
	return a.report(ctx, e)
}

// settled tells a server's no, which asking again does not change, from trouble on the way.
func settled(err error) bool {
	switch fault.KindOf(err) {
	case fault.Conflict, fault.NotFound, fault.Invalid:
		return true
	}
	return fault.KindOf(err) == fault.Denied && fault.CodeOf(err) != wire.Cloned
}

// drop ends an errand: the file that names it goes last.
func (a *Agent) drop(e *errand) error {
	if err := os.RemoveAll(a.places.Carry(e.Order)); err != nil {
		return err
	}
	return remove(a.places.errand())
}

// fetch downloads the files that are not here yet and checks each against its digest.
func (a *Agent) fetch(ctx context.Context, e *errand) error {
	if err := os.MkdirAll(a.places.Carry(e.Order), 0o755); err != nil {
		return err
	}
	dir, err := os.OpenRoot(a.places.Carry(e.Order))
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, f := range e.Work.Files {
		if isFile(dir, f) {
			continue
		}
		err := a.fetchFile(ctx, dir, e.Order, f)
		if errors.Is(err, errOther) && f.Path == releaseFile { // signed anew since it was offered: the next offer names what it is now
			err = errors.Join(err, a.drop(e))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func isFile(dir *os.Root, f wire.File) bool {
	r, err := dir.Open(f.Path)
	if err != nil {
		return false
	}
	defer r.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(r, f.Size+1))
	return err == nil && n == f.Size && hex.EncodeToString(sum.Sum(nil)) == f.SHA256
}

var errOther = errors.New("other bytes than the offer says")

func (a *Agent) fetchFile(ctx context.Context, dir *os.Root, order string, f wire.File) error {
	if err := dir.MkdirAll(path.Dir(f.Path), 0o755); err != nil {
		return err
	}
	part := f.Path + ".part"
	w, err := dir.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	sum := sha256.New()
	err = a.client.get(ctx, order, f.Path, io.MultiWriter(w, sum), f.Size)
	if err == nil && hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		err = fault.New(fault.Unavailable, "file %s: %w", f.Path, errOther)
	}
	if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
		return err
	}
	return dir.Rename(part, f.Path)
}

func (a *Agent) before(ctx context.Context, e *errand) error {
	o, err := a.observe(ctx, e)
	if err != nil {
		return fmt.Errorf("observe the host before: %w", err)
	}
	e.Before = o.Observation
	return nil
}

func (a *Agent) after(ctx context.Context, e *errand) error {
	o, err := a.observe(ctx, e)
	if err != nil {
		return fmt.Errorf("observe the host after: %w", err)
	}
	e.After = o.Observation
	return nil
}

// observe takes the host's whole state anew, with the facts about the order's packages, and brings it to the server.
func (a *Agent) observe(ctx context.Context, e *errand) (*observation, error) {
	packages, roots := a.concerned(e.Work.Warrant)
	files, err := inventory.Files(a.places.Root, packages)
	if err != nil {
		return nil, fmt.Errorf("list the packages' files: %w", err)
	}
	for _, root := range roots {
		inside, err := inventory.Files(filepath.Join(a.places.Root, root), packages)
		if err != nil {
			return nil, fmt.Errorf("list the packages' files in %s: %w", root, err)
		}
		maps.Copy(files, inside)
	}
	o, err := a.look(ctx, files)
	if err != nil {
		return nil, err
	}
	if o.Facts, err = a.facts(o, "/", packages); err != nil {
		return nil, err
	}
	for _, root := range roots {
		if o.RootFacts == nil {
			o.RootFacts = map[string]string{}
		}
		if o.RootFacts[root], err = a.facts(o, root, packages); err != nil {
			return nil, err
		}
	}
	return o, a.upload(ctx, o)
}

// facts adds a root's facts about packages to an observation and gives their digest.
func (a *Agent) facts(o *observation, root string, packages []string) (string, error) {
	facts, err := inventory.Collect(filepath.Join(a.places.Root, root), packages, a.policy, a.now())
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(facts)
	return o.add(wire.FactsObject, b), err
}

// concerned gives the names of the packages an order changes, on any host, and those of the host's other roots that are
// watched and whose packages it changes here. A warrant that cannot be read concerns none: it is the executor's part to refuse it, with
// its signature.
func (a *Agent) concerned(document []byte) (packages, roots []string) {
	w, err := warrant.Parse(document)
	if err != nil {
		return nil, nil
	}
	order, err := warrant.DecodeOrder(w.Order.Payload)
	if err != nil {
		return nil, nil
	}
	for _, t := range order.Transactions {
		for _, action := range t.Actions {
			packages = append(packages, action.Name)
		}
	}
	for _, t := range order.For(a.config.HostID) {
		if t.Root != "" && len(t.Actions) > 0 && slices.Contains(a.config.Roots, t.Root) {
			roots = append(roots, t.Root)
		}
	}
	slices.Sort(packages)
	return slices.Compact(packages), roots
}

// begin asks the server for the last yes: it may have halted the rollout since it offered the order.
func (a *Agent) begin(ctx context.Context, e *errand) error {
	return a.client.post(ctx, wire.BeginPath, wire.Begin{Order: e.Order, Before: e.Before}, 0, nil)
}

// report brings the outcome to the server and ends the errand. A report the server will not have is kept on the host.
func (a *Agent) report(ctx context.Context, e *errand) error {
	r := wire.Report{Order: e.Order, Envelope: e.Report, Before: e.Before, After: e.After}
	err := a.client.post(ctx, wire.ReportPath, r, 0, nil)
	if err != nil && !settled(err) {
		return err
	}
	if err != nil {
		kept := a.places.undelivered(e.Order)
		a.log.Error("the server refuses the report of an order; it is kept here", "order", e.Order, "file", kept, "error", err)
		if err := writeJSON(kept, 0o600, r); err != nil {
			return err
		}
	}
	if err := a.drop(e); err != nil {
		return err
	}
	a.log.Info("errand", "order", e.Order, "phase", "done")
	return nil
}
