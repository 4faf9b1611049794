// Package executor is root's part on a host: it obeys one warrant, exactly, and reports with the host's own signature.
// Nothing it is given can name a command: it drives apt and dpkg with packages that people signed, and uses no shell.
package executor

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Config says where things are. Etc holds what root wrote at enrolment (host-id, environment, trust-root.json,
// trust-root.sha256) and may hold a local policy (executor.json); State is the executor's own; Carry is where the agent
// leaves the files of an order, in a directory named by its ID. Now gives UTC in whole microseconds.
type Config struct {
	Etc, State, Carry string
	Packages          Packages
	Now               func() time.Time
}

// Packages is the package manager of the host. What it runs it records in log.
type Packages interface {
	// Installed gives dpkg's view of every package that has files or unfinished work on the host, by Key.
	Installed(ctx context.Context) (map[string]Status, error)
	// Prepare takes a repository, checked against the order, as the only source of packages.
	Prepare(ctx context.Context, r Repository, log io.Writer) error
	// Simulate tells what Apply would do.
	Simulate(ctx context.Context, actions []warrant.Action, log io.Writer) ([]Step, error)
	// Apply does it.
	Apply(ctx context.Context, actions []warrant.Action, log io.Writer) error
	// Settle waits until nothing changes packages any more.
	Settle(ctx context.Context) error
}

// Status is dpkg's view of a package: its version, what is wanted ("install", "hold", …) and what is ("installed", …).
type Status struct{ Version, Want, Is string }

// Key names an installed package.
func Key(name, arch string) string { return name + ":" + arch }

// Executor obeys warrants on this host, one at a time.
type Executor struct {
	Config
	host, environment string
	root              *trustroot.Root
	state             state
	key               ed25519.PrivateKey
}

// policy is the local policy file: it can only narrow what warrants allow. An empty list allows all.
type policy struct {
	Classes      []string `json:"classes"`
	Environments []string `json:"environments"`
}

// Obey does what a warrant gives leave to do, and gives the signed report. An order that was begun before is never begun
// again: its report is given again, or what became of it is found out and reported. The error is about this host's own
// trouble; what is wrong with the warrant or the packages is said in the report.
func (x *Executor) Obey(ctx context.Context, document []byte) (envelope.Envelope, error) {
	r := warrant.Report{Host: x.host, BegunAt: x.Now(), Packages: []warrant.Observed{}}
	w, err := warrant.Parse(document)
	if err != nil {
		return x.refuse(r, err)
	}
	r.OrderDigest = envelope.Digest(w.Order.Payload)
	if o, err := warrant.DecodeOrder(w.Order.Payload); err == nil {
		r.Order = o.ID
		if report, found, err := x.recall(ctx, r); found || err != nil {
			return report, err
		}
	}
	leave, err := w.Check(x.self(r.BegunAt))
	if err == nil {
		err = x.permit(leave)
	}
	if err != nil {
		return x.refuse(r, err)
	}
	log, err := x.session(r)
	if err != nil {
		return envelope.Envelope{}, err
	}
	defer log.Close()
	before, err := x.prepare(ctx, leave, log)
	if err != nil {
		return x.refuse(r, err)
	}
	j := journal{Report: r, Actions: leave.Transaction.Actions, Before: before, State: x.state.after(w, leave, r.BegunAt)}
	if err := x.begin(j); err != nil {
		return envelope.Envelope{}, err
	}
	return x.finish(ctx, j, log, x.Packages.Apply(ctx, j.Actions, log))
}

// permit asks the local policy. A policy that cannot be read permits nothing.
func (x *Executor) permit(l *warrant.Leave) error {
	var p policy
	if err := readJSON(filepath.Join(x.Etc, "executor.json"), &p); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.Refuse(fault.Policy, "local policy: %w", err)
	}
	allows := func(list []string, word string) bool { return len(list) == 0 || slices.Contains(list, word) }
	switch {
	case len(l.Transaction.Actions) == 0:
		return fault.Refuse(fault.Class, "order %s of class %s changes no packages", l.Order.ID, l.Order.Class)
	case !allows(p.Classes, l.Order.Class) || !allows(p.Environments, l.Order.Environment):
		return fault.Refuse(fault.Policy, "the local policy does not allow class %s in %s", l.Order.Class, l.Order.Environment)
	}
	return nil
}

// prepare brings the host to where only the last step is missing, and gives the packages as they are. It refuses unless
// the package manager would do the transaction and nothing else.
func (x *Executor) prepare(ctx context.Context, l *warrant.Leave, log io.Writer) (map[string]Status, error) {
	repository, err := x.takeOver(l)
	if err != nil {
		return nil, err
	}
	before, err := x.Packages.Installed(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkBefore(before, l.Transaction.Actions); err != nil {
		return nil, err
	}
	if err := x.Packages.Prepare(ctx, repository, log); err != nil {
		return nil, err
	}
	steps, err := x.Packages.Simulate(ctx, l.Transaction.Actions, log)
	if err != nil {
		return nil, err
	}
	return before, comparePlan(steps, l.Transaction.Actions)
}

// recall answers for an order that was begun before; found is false where none was. A run that was cut off is done if
// every package is exactly as planned, and interrupted otherwise.
func (x *Executor) recall(ctx context.Context, r warrant.Report) (report envelope.Envelope, found bool, err error) {
	var j journal
	if err := readJSON(x.path(r.Order, "begun.json"), &j); errors.Is(err, os.ErrNotExist) {
		return report, false, nil
	} else if err != nil {
		return report, false, err
	}
	if j.Report.OrderDigest != r.OrderDigest {
		report, err = x.refuse(r, fault.Refuse(fault.Replay, "another order with the ID %s was obeyed before", r.Order))
		return report, true, err
	}
	err = readJSON(x.path(r.Order, "report.json"), &report)
	if !errors.Is(err, os.ErrNotExist) {
		return report, true, err
	}
	if err := x.begin(j); err != nil {
		return report, false, err
	}
	log, err := x.session(j.Report)
	if err != nil {
		return report, false, err
	}
	defer log.Close()
	report, err = x.finish(ctx, j, log, errInterrupted)
	return report, true, err
}

// settleTime is how long a run that ended or was cut off may take to come to rest.
const settleTime = 15 * time.Minute

var errInterrupted = fault.Refuse(fault.Interrupted, "the run was cut off; the packages are as listed")

// finish finds out what became of a run, seals its session, and keeps and gives the report.
func (x *Executor) finish(ctx context.Context, j journal, log *os.File, ran error) (envelope.Envelope, error) {
	r := j.Report
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	after, err := map[string]Status(nil), x.Packages.Settle(ctx)
	if err == nil {
		after, err = x.Packages.Installed(ctx)
	}
	exact := err == nil && asPlanned(j.Before, after, j.Actions)
	switch interrupted := ran == errInterrupted; {
	case exact && (ran == nil || interrupted):
		r.Outcome = warrant.Done
	case interrupted:
		r.Outcome = warrant.Interrupted
	default:
		r.Outcome = warrant.RunFailed
		if ran == nil {
			ran = fault.Refuse(fault.Failed, "the packages are not as planned")
		}
	}
	if r.Outcome != warrant.Done {
		r.Code, r.Reason = fault.CodeOf(ran), reason(errors.Join(ran, err))
	}
	r.Packages = observe(j.Actions, after)
	if r.Session, err = seal(log, r); err != nil {
		return envelope.Envelope{}, err
	}
	e, err := x.sign(r)
	if err != nil {
		return e, err
	}
	return e, writeJSON(x.path(r.Order, "report.json"), e)
}

func (x *Executor) refuse(r warrant.Report, why error) (envelope.Envelope, error) {
	r.Outcome, r.Code, r.Reason = warrant.Refused, fault.CodeOf(why), reason(why)
	if r.Code == "" {
		r.Code = fault.Failed
	}
	return x.sign(r)
}

// reason is an error as a report tells it: at most 2,000 bytes.
func reason(err error) string {
	s := err.Error()
	return s[:min(len(s), 2000)]
}

func (x *Executor) sign(r warrant.Report) (envelope.Envelope, error) {
	r.EndedAt, r.LogSize, r.LogRoot = x.Now(), x.state.LogSize, x.state.LogRoot
	payload, err := r.Encode()
	if err != nil {
		return envelope.Envelope{}, err
	}
	signature := envelope.SignEd25519(x.key, warrant.ReportType, payload)
	return envelope.Envelope{PayloadType: warrant.ReportType, Payload: payload, Signatures: []envelope.Signature{signature}}, nil
}
