package staff

import (
	"context"
	"slices"
	"time"

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
	AcceptShrink     Action = "accept-shrink"      // put in force what a source states although it is much less than before
	ConfigureMirror  Action = "configure-mirror"   // pin an upstream repository
	RefreshMirror    Action = "refresh-mirror"     // look at an upstream again
	Decide           Action = "decide"             // on a vulnerability
	ProposePolicy    Action = "propose-policy"     // author limits for vulnerabilities, for others to sign
	ProposeSnapshot  Action = "propose-snapshot"   // choose packages
	Approve          Action = "approve"            // hand in a signature under a snapshot or an order
	Promote          Action = "promote"            // point a channel to a snapshot
	ProposeOrder     Action = "propose-order"      // author a change
	CancelOrder      Action = "cancel-order"       // stop a change: anyone who may approve one
	Investigate      Action = "investigate"        // explain what reconciliation left over
	EnrolHost        Action = "enrol-host"         // make an enrolment line; block a host
	EditRecord       Action = "edit-record"        // write the inventory, one record or a file of them
	LinkRecord       Action = "link-record"        // say which enrolled host a record is about
	ProposeRetire    Action = "propose-retirement" // author a host's retirement, for others to sign
	AdvanceTrustRoot Action = "advance-trust-root" // hand in a signed trust root
	ReportSuspicion  Action = "report-suspicion"   // tell of a vulnerability that one suspects; see one's own
	ReadSuspicions   Action = "read-suspicions"    // all of them, with what is attached
	AnswerSuspicion  Action = "answer-suspicion"   // own one, and say what it is
	TakeDuty         Action = "take-duty"          // own something that has no owner
	InstallTrustRoot Action = "install-trust-root" // hand in the first one: by the bootstrap link alone
	JoinTrustRoot    Action = "join-trust-root"    // hand in keys and a signature for the first one: by an invitation alone
	SaveView         Action = "save-view"          // name a list's filter, for oneself or for all; drop one's own
	OwnAccount       Action = "own-account"        // see and end one's own sessions, tokens and pending keys
	RegisterKey      Action = "register-key"       // offer a passkey for the next trust root
	MakeToken        Action = "make-token"         // for a program that acts for the person
	SeeAccounts      Action = "see-accounts"       // everyone's sessions, tokens, notices and reviews
	EndSessions      Action = "end-sessions"       // of others, and their tokens
	GiveNotice       Action = "give-notice"        // that someone leaves: the account is off at once
	ReviewAccount    Action = "review-account"     // say that another's roles and keys are right
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
	AcceptShrink:     {cirt, admin},
	ConfigureMirror:  {admin},
	RefreshMirror:    {product, admin},
	Decide:           {cirt, product, risk},
	ProposePolicy:    {cirt, product, risk},
	ProposeSnapshot:  {cirt, product},
	Approve:          {cirt, product, risk, operations, owner},
	Promote:          {product, operations},
	ProposeOrder:     {product, operations},
	CancelOrder:      {cirt, product, risk, operations, owner},
	Investigate:      {cirt, product, risk, operations, owner},
	EnrolHost:        {operations, owner, admin},
	EditRecord:       {operations, owner, admin},
	LinkRecord:       {operations, owner, admin},
	ProposeRetire:    {operations, owner},
	AdvanceTrustRoot: {cirt, product, risk, operations, owner, admin},
	ReportSuspicion:  {cirt, product, risk, operations, owner, admin, auditor},
	ReadSuspicions:   {cirt, risk, auditor},
	AnswerSuspicion:  {cirt},
	TakeDuty:         {cirt, product, risk, operations, owner, admin},
	InstallTrustRoot: {},
	JoinTrustRoot:    {},
	SaveView:         {cirt, product, risk, operations, owner, admin, auditor},
	OwnAccount:       {cirt, product, risk, operations, owner, admin, auditor},
	RegisterKey:      {cirt, product, risk, operations, owner, admin, auditor},
	MakeToken:        {cirt, product, risk, operations, owner, admin, auditor},
	SeeAccounts:      {risk, operations, owner, admin, auditor},
	EndSessions:      {operations, admin},
	GiveNotice:       {operations, admin},
	ReviewAccount:    {risk, operations, owner, admin},
}

// Can decides whether a person's roles allow an action.
func Can(p trustroot.Person, a Action) bool {
	return slices.ContainsFunc(p.Roles, func(role string) bool { return slices.Contains(may[a], role) })
}

// Way is how someone came in.
type Way string

// The ways. Only who came by a key of the trust root may do all that their roles allow.
const (
	ByKey        Way = "key"        // signed a challenge
	ByProvider   Way = "provider"   // was named by an OpenID provider
	ByToken      Way = "token"      // a program with a token
	ByLink       Way = "link"       // the bootstrap link, before there is a trust root
	ByInvitation Way = "invitation" // of someone named for the first trust root, before it is there
)

// first reports whether the way is open only until the first trust root is in force.
func (w Way) first() bool { return w == ByLink || w == ByInvitation }

// reach says what the ways without a key reach at most: nothing that decides, signs or gives others leave.
var reach = map[Way][]Action{
	ByProvider:   {Read, SaveView, ReportSuspicion, ReadSuspicions, Audit, ImportAdvisories, RefreshMirror, ProposeSnapshot, ProposeOrder, OwnAccount, SeeAccounts},
	ByToken:      {Read, SaveView, ReportSuspicion, Audit, ImportAdvisories, RefreshMirror, ProposeSnapshot, ProposeOrder, Promote, CancelOrder, EnrolHost, EditRecord},
	ByLink:       {InstallTrustRoot},
	ByInvitation: {JoinTrustRoot},
}

// fresh are the actions that ask for a login of the last minutes: a session left open must not give lasting leave.
var fresh = []Action{RegisterKey, MakeToken, EndSessions, GiveNotice, ReviewAccount}

const freshFor = 5 * time.Minute

// StepUp is the code of a refusal that a new login would lift.
const StepUp = "STEP-UP"

// Can decides whether the session reaches an action: roles, way, and the scope of a token. A door may hide what it does
// not; Authorize decides.
func (s Session) Can(a Action) bool {
	switch s.Way {
	case ByKey:
		return Can(s.Person, a)
	case ByLink, ByInvitation:
		return slices.Contains(reach[s.Way], a)
	case ByToken:
		return Can(s.Person, a) && slices.Contains(reach[ByToken], a) && slices.Contains(s.Actions, a)
	}
	return Can(s.Person, a) && slices.Contains(reach[s.Way], a)
}

// Reach gives all actions that Can allows, sorted.
func (s Session) Reach() (all []Action) {
	for a := range may {
		if s.Can(a) {
			all = append(all, a)
		}
	}
	slices.Sort(all)
	return all
}

// allows is Can, with the reason for a no and the age of the login.
func (s Session) allows(a Action, now time.Time) error {
	switch {
	case s.Way.first() && !s.Can(a):
		return fault.New(fault.Denied, "the bootstrap link and its invitations do nothing but make the first trust root")
	case !s.Way.first() && !Can(s.Person, a):
		return fault.New(fault.Denied, "none of the roles of %s may %s", s.Person.ID, a)
	case !s.Can(a):
		return fault.New(fault.Denied, "%s may %s, but not by way of a %s: log in with a key of the trust root", s.Person.ID, a, s.Way)
	case slices.Contains(fresh, a) && now.Sub(s.MadeAt) > freshFor:
		return fault.Refuse(StepUp, "to %s, log in again: the login is older than %s", a, freshFor)
	}
	return nil
}

// Authorize refuses and records what the session may not do. A refusal for want of a fresh login has the code StepUp and
// is no attempt to record: the person has leave, and is asked for the key once more.
func (s *Staff) Authorize(ctx context.Context, session Session, a Action, from string) error {
	err := session.allows(a, s.Now())
	if err == nil || fault.CodeOf(err) == StepUp {
		return err
	}
	return s.refuse(ctx, "access.refused", session.Person.ID, from, err)
}
