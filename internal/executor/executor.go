// Package executor is root's part on a host: it obeys one warrant, exactly, and reports with the host's own signature.
// Nothing it is given can name a command: it drives apt and dpkg with packages that people signed, and uses no shell.
package executor

import (
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// settleTime is how long a run that ended or was cut off may take to come to rest.
const settleTime = 15 * time.Minute

var errInterrupted = fault.Refuse(fault.Interrupted, "the run was cut off; the packages are as listed")

// Executor obeys warrants on this host, one at a time.
type Executor struct {
	Config
	host, environment string
	root              *trustroot.Root
	state             state
	key               ed25519.PrivateKey
	lock              *os.File
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
	log, err := x.openSession(r)
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
	return x.finish(ctx, j, log, x.apply(ctx, j.Actions, log))
}

// permit asks the local policy, executor.json: it can only narrow what warrants allow. A list that is empty allows all; a
// policy that cannot be read allows nothing.
func (x *Executor) permit(l *warrant.Leave) error {
	var policy struct{ Classes, Environments []string }
	err := readJSON(filepath.Join(x.Etc, "executor.json"), &policy)
	allows := func(list []string, word string) bool { return len(list) == 0 || slices.Contains(list, word) }
	switch {
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return fault.Refuse(fault.Policy, "local policy: %w", err)
	case !allows(policy.Classes, l.Order.Class) || !allows(policy.Environments, l.Order.Environment):
		return fault.Refuse(fault.Policy, "the local policy does not allow class %s in %s", l.Order.Class, l.Order.Environment)
	case len(l.Transaction.Actions) == 0:
		return fault.Refuse(fault.Class, "order %s of class %s changes no packages", l.Order.ID, l.Order.Class)
	}
	return nil
}

// prepare brings the host to where only the last step is missing, and gives the packages as they are. It refuses unless
// the package manager would do the transaction and nothing else. Source: R-604.
func (x *Executor) prepare(ctx context.Context, l *warrant.Leave, log *os.File) (map[string]Status, error) {
	if err := x.takeOver(ctx, l, log); err != nil {
		return nil, err
	}
	before, err := x.installed(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkBefore(before, l.Transaction.Actions); err != nil {
		return nil, err
	}
	return before, x.rehearse(ctx, l.Transaction.Actions, log)
}

// recall answers for an order that was begun before; found is false where none was.
func (x *Executor) recall(ctx context.Context, r warrant.Report) (report envelope.Envelope, found bool, err error) {
	var j journal
	if err := readJSON(x.path(r.Order, "begun.json"), &j); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return report, false, err
	}
	if j.Report.OrderDigest != r.OrderDigest {
		report, err = x.refuse(r, fault.Refuse(fault.Replay, "another order with the ID %s was obeyed before", r.Order))
		return report, true, err
	}
	if err = readJSON(x.path(r.Order, "report.json"), &report); !errors.Is(err, os.ErrNotExist) {
		return report, true, err
	}
	if err := x.begin(j); err != nil {
		return report, true, err
	}
	log, err := x.openSession(j.Report)
	if err != nil {
		return report, true, err
	}
	defer log.Close()
	report, err = x.finish(ctx, j, log, errInterrupted)
	return report, true, err
}

// finish finds out what became of a run, seals its session, keeps the report and gives it. A run that was cut off is done
// if all packages on the host are exactly as planned.
func (x *Executor) finish(ctx context.Context, j journal, log *os.File, ran error) (envelope.Envelope, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	x.settle(ctx, log)
	after, err := x.installed(ctx)
	exact, cutOff := err == nil && asPlanned(j.Before, after, j.Actions), ran == errInterrupted
	if ran == nil && !exact {
		ran = fault.Refuse(fault.Failed, "the packages are not as planned")
	}
	r := j.Report
	switch {
	case exact && (ran == nil || cutOff):
		r.Outcome = warrant.Done
	case cutOff:
		r.Outcome = warrant.Interrupted
	default:
		r.Outcome = warrant.RunFailed
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
	signature := envelope.SignEd25519(x.key, warrant.ReportType, payload)
	return envelope.Envelope{PayloadType: warrant.ReportType, Payload: payload, Signatures: []envelope.Signature{signature}}, err
}
