package staff

import (
	"context"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// Action is something a person does at a door. Whether signatures suffice is never decided here: quorums are counted from
// the trust root, on the server and again on every host.
type Action string

// The actions.
const (
	Read             Action = "read"               // see hosts, vulnerabilities, snapshots, orders, runs, the ledger
	Audit            Action = "audit"              // replay the ledger; take evidence out
	ImportAdvisories Action = "import-advisories"  // feed a source
	ConfigureMirror  Action = "configure-mirror"   // pin an upstream repository
	RefreshMirror    Action = "refresh-mirror"     // look at an upstream again
	Decide           Action = "decide"             // on a vulnerability
	ProposeSnapshot  Action = "propose-snapshot"   // choose packages
	Approve          Action = "approve"            // hand in a signature under a snapshot or an order
	Promote          Action = "promote"            // point a channel to a snapshot
	ProposeOrder     Action = "propose-order"      // author a change
	CancelOrder      Action = "cancel-order"       // stop a change: anyone who may approve one
	Investigate      Action = "investigate"        // explain what reconciliation left over
	EnrolHost        Action = "enrol-host"         // make an enrolment line; block a host
	AdvanceTrustRoot Action = "advance-trust-root" // hand in a signed trust root
)

// Roles of the trust root. Source: R-101.
const (
	cirt       = "cirt-analyst"
	product    = "product-manager"
	risk       = "risk-manager"
	operations = "operations-manager"
	owner      = "system-owner"
	admin      = "administrator"
	auditor    = "auditor"
)

// may says which roles do what. Administrators configure and never approve; auditors read everything and never sign.
var may = map[Action][]string{
	Read:             {cirt, product, risk, operations, owner, admin, auditor},
	Audit:            {cirt, product, risk, operations, owner, auditor},
	ImportAdvisories: {cirt, admin},
	ConfigureMirror:  {admin},
	RefreshMirror:    {product, admin},
	Decide:           {cirt, product},
	ProposeSnapshot:  {cirt, product},
	Approve:          {cirt, product, risk, operations, owner},
	Promote:          {product, operations},
	ProposeOrder:     {product, operations},
	CancelOrder:      {cirt, product, risk, operations, owner},
	Investigate:      {cirt, product, risk, operations, owner},
	EnrolHost:        {operations, owner, admin},
	AdvanceTrustRoot: {cirt, product, risk, operations, owner, admin},
}

// Can decides whether a person's roles allow an action.
func Can(p trustroot.Person, a Action) bool {
	return slices.ContainsFunc(p.Roles, func(role string) bool { return slices.Contains(may[a], role) })
}

// Authorize refuses and records what Can does not allow.
func (s *Staff) Authorize(ctx context.Context, p trustroot.Person, a Action, from string) error {
	if Can(p, a) {
		return nil
	}
	return s.refuse(ctx, "access.refused", p.ID, from, fault.New(fault.Denied, "none of the roles of %s may %s", p.ID, a))
}
