package change

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Kinds of order.
const (
	Stage      = "stage"      // class stage: the first rollout, whose file changes become the manifest
	Production = "production" // class routine or emergency: the same snapshot, after a stage order closed
	BackOut    = "back-out"   // class routine or emergency: down to the versions an order came from
)

// States of an order.
const (
	Proposed      = "proposed"            // waits for approvals
	Warranted     = "warranted"           // has its quorum; its rollout goes on
	Closed        = "closed"              // done, and reconciled where files were compared
	Failed        = "failed"              // not every run was done, or what was investigated was an incident
	Investigating = "under-investigation" // files changed that nothing explains
	Rejected      = "rejected"            // an approver said no
	Withdrawn     = "withdrawn"           // the author took it back
	Expired       = "expired"             // no quorum in time
)

// Proposal is what a person asks for; Propose works out the rest.
type Proposal struct {
	Kind            string
	Class           string   // production and back-out: routine or emergency; stage orders leave it empty
	Snapshot        string   // digest; back-out orders name the older snapshot
	Of              string   // production: the closed stage order; back-out: the order to undo
	Hosts           []string // empty: every host of the environment, or of the order to undo
	Roots           bool     // also in those other roots of the hosts that lag behind the snapshot, copied files among it; a back-out goes where its order went
	Window          warrant.Window
	Reason          string
	Grounds         string // emergency only: why it cannot wait
	Plan            string
	BackOut         string
	Vulnerabilities []string
	Notices         []warrant.Notice
	Template        string // its name: what is left empty comes from it
	Acknowledge     string // production, over a manifest with changes that nothing explains: why they may come there too
}

// check refuses what no state could make right.
func (p Proposal) check(now time.Time) error {
	classes := map[string][]string{
		Stage:      {trustroot.Stage},
		Production: {trustroot.Routine, trustroot.Emergency},
		BackOut:    {trustroot.Routine, trustroot.Emergency},
	}[p.Kind]
	switch {
	case classes == nil:
		return fault.New(fault.Invalid, "there is no kind of order %q", p.Kind)
	case !slices.Contains(classes, p.Class):
		return fault.New(fault.Invalid, "a %s order is of class %v, not %q", p.Kind, classes, p.Class)
	case p.Reason == "" || p.Plan == "" || p.BackOut == "":
		return fault.New(fault.Invalid, "an order needs a reason, a plan and a back-out plan")
	case !p.Window.OpensAt.Before(p.Window.ClosesAt):
		return fault.New(fault.Invalid, "the window closes at %s, before it opens", stamp(p.Window.ClosesAt))
	case !now.Before(p.Window.ClosesAt):
		return fault.New(fault.Invalid, "the window closed at %s already", stamp(p.Window.ClosesAt))
	case p.Kind != Stage && p.Of == "":
		return fault.New(fault.Invalid, "a %s order names the order it follows", p.Kind)
	case p.Kind != Production && p.Acknowledge != "":
		return fault.New(fault.Invalid, "only a production order acknowledges what stage showed")
	case p.Class == trustroot.Emergency && p.Grounds == "":
		return fault.New(fault.Invalid, "an emergency order needs written grounds")
	case p.Class != trustroot.Emergency && p.Grounds != "":
		return fault.New(fault.Invalid, "grounds are for emergency orders; this one is %s", p.Class)
	}
	return nil
}

// DefaultNoticeHours is how long before its window scheduled maintenance is announced. Source: R-605. The hours are
// configured: a site that has fewer says so in its configuration and in every act order.proposed.
const DefaultNoticeHours = 72

// noticed refuses a routine order that nobody was told of in time. Stage is no production, and an emergency's written
// grounds stand in for the wait.
func noticed(class string, w warrant.Window, notices []warrant.Notice, hours int) error {
	if class != trustroot.Routine {
		return nil
	}
	due := w.OpensAt.Add(-time.Duration(hours) * time.Hour)
	if slices.ContainsFunc(notices, func(n warrant.Notice) bool { return !n.At.After(due) }) {
		return nil
	}
	return fault.New(fault.Conflict, "a routine order needs a notice %d h before its window: by %s at the latest", hours, stamp(due))
}

// follows decides whether a production order may rest on a stage order: closed, with a manifest, of the same snapshot,
// which is the one now promoted to production.
func follows(stage Order, snapshot, promoted string) error {
	switch {
	case stage.Kind != Stage:
		return fault.New(fault.Conflict, "order %s is no stage order", stage.ID)
	case stage.State != Closed || stage.Manifest == "":
		return fault.New(fault.Conflict, "stage order %s is %s; production follows a closed one with its manifest", stage.ID, stage.State)
	case stage.Snapshot.SHA256 != snapshot:
		return fault.New(fault.Conflict, "stage order %s tested snapshot %s, not %s", stage.ID, stage.Snapshot.SHA256, snapshot)
	case promoted != snapshot:
		return fault.New(fault.Conflict, "channel production has snapshot %s; promote %s first", promoted, snapshot)
	}
	return nil
}

// acknowledged gives what the order says about changes on stage that no package explains: the first of them and the
// proposer's word, without which there is no production order, for on production they pass as staged. "" for none.
func acknowledged(m explain.Manifest, word string) (string, error) {
	const most = 5 // paths
	paths := m.Unaccounted()
	switch {
	case len(paths) == 0 && word == "":
		return "", nil
	case len(paths) == 0:
		return "", fault.New(fault.Invalid, "there is nothing to acknowledge: packages explain all that stage showed")
	}
	said := fmt.Sprintf("stage showed %d changes that no package explains: %s", len(paths), strings.Join(paths[:min(most, len(paths))], ", "))
	if len(paths) > most {
		said += ", …"
	}
	if word == "" {
		return "", fault.New(fault.Conflict, "%s; read the manifest, and propose with the reason why they may come to production (acknowledge)", said)
	}
	return said + "; acknowledged: " + word, nil
}

// undoable decides whether an order's rollout can be backed out.
func undoable(o Order) error {
	if o.Kind == BackOut || !slices.Contains([]string{Closed, Failed, Investigating}, o.State) {
		return fault.New(fault.Conflict, "order %s is a %s order and %s; only a finished one is backed out", o.ID, o.Kind, o.State)
	}
	return nil
}

// open decides whether an order still takes approvals.
func open(o Order, now time.Time) error {
	if o.State != Proposed {
		return fault.New(fault.Conflict, "order %s is %s", o.ID, o.State)
	}
	if lapsed(o, now) {
		return fault.New(fault.Conflict, "order %s was to be approved by %s", o.ID, stamp(deadline(o)))
	}
	return nil
}

func deadline(o Order) time.Time {
	if o.Window.ClosesAt.Before(o.ExpiresAt) {
		return o.Window.ClosesAt
	}
	return o.ExpiresAt
}

func lapsed(o Order, now time.Time) bool { return !now.Before(deadline(o)) }

// outcome is the state of an order after a finished rollout and its reconciliation.
func outcome(allDone, explained bool) string {
	switch {
	case !explained:
		return Investigating
	case !allDone:
		return Failed
	default:
		return Closed
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
