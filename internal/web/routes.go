package web

import "github.com/patchwarrant/patchwarrant/internal/staff"

// polled is what the page of a running order asks for every few seconds. It does not keep the session open.
const polled = "/changes/{id}/rollout"

// routes is the whole site. The action is the one the API asks for the same thing.
var routes = []route{
	{"GET", "/sign-in", "", (*site).signInPage},
	{"POST", "/sign-in/challenge", "", (*site).challenge},
	{"POST", "/sign-in/ssh", "", (*site).signInSSH},
	{"POST", "/sign-in", "", (*site).signIn},
	{"GET", "/sign-in/providers/{id}", "", (*site).beginAtProvider},
	{"GET", "/sign-in/provider/{id}", "", (*site).backFromProvider},
	{"POST", "/theme", "", (*site).theme},
	{"POST", "/sign-out", staff.OwnAccount, (*site).signOut},

	{"GET", "/setup", "", (*site).setup}, // itself asks for leave, unless the link was just followed
	{"POST", "/setup", "", (*site).useLink},
	{"GET", "/setup/progress", staff.InstallTrustRoot, (*site).setupProgress},
	{"POST", "/setup/organisation", staff.InstallTrustRoot, (*site).organise},
	{"POST", "/setup/people", staff.InstallTrustRoot, (*site).nameCandidate},
	{"POST", "/setup/people/{id}/drop", staff.InstallTrustRoot, (*site).dropCandidate},
	{"POST", "/setup/people/{id}/invitations", staff.InstallTrustRoot, (*site).invite},
	{"POST", "/setup/document", staff.InstallTrustRoot, (*site).makeDocument},
	{"POST", "/setup/document/withdrawal", staff.InstallTrustRoot, (*site).takeBackDocument},
	{"POST", "/setup/trust-root", staff.InstallTrustRoot, (*site).installRoot},
	{"GET", "/setup/upstreams", staff.Read, (*site).setupUpstreams},
	{"GET", "/setup/findings/{id}", staff.Read, (*site).setupFindings},

	{"GET", "/join", "", (*site).join}, // itself asks for leave, unless the invitation was just followed
	{"POST", "/join", "", (*site).useInvitation},
	{"GET", "/join/progress", staff.JoinTrustRoot, (*site).joinProgress},
	{"POST", "/join/keys", staff.JoinTrustRoot, (*site).handInKeys},
	{"POST", "/join/passkeys/challenge", staff.JoinTrustRoot, (*site).newPasskey},
	{"POST", "/join/passkeys", staff.JoinTrustRoot, (*site).joinPasskey},
	{"POST", "/join/passkeys/drop", staff.JoinTrustRoot, (*site).dropJoinPasskey},
	{"POST", "/join/line", staff.JoinTrustRoot, (*site).joinLine},

	{"GET", "/{$}", staff.Read, (*site).today},
	{"GET", "/search", staff.Read, (*site).search},

	{"GET", "/vulnerabilities", staff.Read, (*site).vulnerabilities},
	{"GET", "/vulnerabilities/{cve}/{source}", staff.Read, (*site).vulnerability},
	{"POST", "/vulnerabilities/{cve}/{source}/draft", staff.Decide, (*site).draftDecision},
	{"POST", "/vulnerabilities/{cve}/{source}/decisions", staff.Decide, (*site).decide},
	{"GET", "/vulnerabilities/{cve}/{source}/assessment", staff.Decide, (*site).assessForm},
	{"POST", "/vulnerabilities/{cve}/{source}/assessments/draft", staff.Decide, (*site).draftAssessment},
	{"POST", "/vulnerabilities/{cve}/{source}/assessments", staff.Decide, (*site).assess},

	{"GET", "/decisions/{id}", staff.Read, (*site).waitingDecision},
	{"POST", "/decisions/{id}/signatures", staff.Decide, (*site).agreeDecision},
	{"POST", "/decisions/{id}/refusal", staff.Decide, (*site).refuseDecision},

	{"POST", "/views", staff.SaveView, (*site).saveView},
	{"POST", "/views/{id}/drop", staff.SaveView, (*site).dropView},

	{"GET", "/hosts", staff.Read, (*site).hosts},
	{"GET", "/hosts/{id}", staff.Read, (*site).host},
	{"GET", "/hosts/estate", staff.Read, (*site).estate},
	{"GET", "/hosts/groups", staff.Read, (*site).groups},
	{"POST", "/hosts/groups", staff.EditRecord, (*site).saveGroup},
	{"POST", "/hosts/groups/drop", staff.EditRecord, (*site).dropGroup},
	{"GET", "/hosts/builds", staff.Read, (*site).builds},
	{"POST", "/hosts/builds", staff.EditRecord, (*site).registerBuild},
	{"GET", "/hosts/builds/{id}", staff.Read, (*site).build},
	{"POST", "/hosts/builds/{id}/drop", staff.EditRecord, (*site).dropBuild},
	{"GET", "/hosts/inventory.csv", staff.Read, (*site).exportRecords},
	{"GET", "/hosts/inventory.json", staff.Read, (*site).exportRecords},
	{"POST", "/hosts/imports", staff.EditRecord, (*site).importRecords},
	{"POST", "/hosts/records", staff.EditRecord, (*site).createRecord},
	{"GET", "/hosts/records/{id}", staff.Read, (*site).record},
	{"POST", "/hosts/records/{id}", staff.EditRecord, (*site).changeRecord},
	{"POST", "/hosts/records/{id}/host", staff.LinkRecord, (*site).linkRecord},
	{"POST", "/hosts/records/{id}/drop", staff.EditRecord, (*site).dropRecord},
	{"POST", "/hosts/retirements", staff.ProposeRetire, (*site).proposeRetirement},
	{"GET", "/hosts/retirements/{id}", staff.Read, (*site).retirement},
	{"POST", "/hosts/retirements/{id}/signatures", staff.Approve, (*site).approveRetirement},
	{"POST", "/hosts/retirements/{id}/end", staff.CancelOrder, (*site).endRetirement},
	{"POST", "/hosts/enrolments", staff.EnrolHost, (*site).enrol},
	{"GET", "/hosts/arrivals/{name}", staff.Read, (*site).arrival},

	{"GET", "/repository", staff.Read, (*site).repository},
	{"GET", "/repository/compare", staff.Read, (*site).compareSnapshots},
	{"POST", "/repository/upstreams", staff.ConfigureMirror, (*site).addUpstream},
	{"POST", "/repository/upstreams/{id}/removal", staff.ConfigureMirror, (*site).removeUpstream},
	{"POST", "/repository/upstreams/{id}/refresh", staff.RefreshMirror, (*site).refreshUpstream},
	{"POST", "/repository/snapshots", staff.ProposeSnapshot, (*site).proposeSnapshot},
	{"GET", "/repository/snapshots/{id}", staff.Read, (*site).snapshot},
	{"POST", "/repository/snapshots/{id}/signatures", staff.Approve, (*site).signSnapshot},
	{"POST", "/repository/channels/{id}/promotions", staff.Promote, (*site).promote},

	{"GET", "/changes", staff.Read, (*site).changes},
	{"GET", "/changes/new", staff.ProposeOrder, (*site).newOrder},
	{"POST", "/changes", staff.ProposeOrder, (*site).proposeOrder},
	{"GET", "/changes/{id}", staff.Read, (*site).order},
	{"GET", "/changes/{id}/order.txt", staff.Read, (*site).orderText},
	{"GET", polled, staff.Read, (*site).rolloutPart},
	{"GET", "/changes/{id}/hosts/{host}", staff.Read, (*site).reconciledHost},
	{"POST", "/changes/{id}/signatures", staff.Approve, (*site).approveOrder},
	{"POST", "/changes/{id}/rejection", staff.CancelOrder, (*site).rejectOrder},
	{"POST", "/changes/{id}/withdrawal", staff.ProposeOrder, (*site).withdrawOrder},
	{"POST", "/changes/{id}/rollout/halt", staff.CancelOrder, (*site).haltRollout},
	{"POST", "/changes/{id}/rollout/resume", staff.Approve, (*site).resumeRollout},
	{"POST", "/changes/{id}/bundle", staff.Audit, (*site).sealEvidence},

	{"GET", "/investigations", staff.Read, (*site).investigations},
	{"GET", "/investigations/{id}", staff.Read, (*site).investigation},
	{"POST", "/investigations/{id}/resolutions", staff.Investigate, (*site).resolveInvestigation},

	{"GET", "/reports", staff.Read, (*site).reports},

	{"GET", "/ledger", staff.Read, (*site).ledger},
	{"GET", "/ledger/{index}", staff.Read, (*site).act},
	{"POST", "/ledger/audits", staff.Audit, (*site).auditLedger},
	{"GET", "/facts/{id}", staff.Audit, (*site).fact},

	{"GET", "/people", staff.Read, (*site).people},
	{"POST", "/people/{id}/reviews", staff.ReviewAccount, (*site).reviewAccount},
	{"POST", "/people/{id}/notice", staff.GiveNotice, (*site).giveNotice},
	{"POST", "/people/{id}/notice/withdrawal", staff.GiveNotice, (*site).withdrawNotice},
	{"POST", "/people/{id}/sessions/{session}/end", staff.EndSessions, (*site).endSession},

	{"GET", "/account", staff.OwnAccount, (*site).account},
	{"POST", "/account/sessions/{id}/end", staff.OwnAccount, (*site).endOwnSession},
	{"POST", "/account/tokens", staff.MakeToken, (*site).makeToken},
	{"POST", "/account/tokens/{id}/end", staff.OwnAccount, (*site).endOwnToken},
	{"POST", "/account/passkeys/challenge", staff.RegisterKey, (*site).newPasskey},
	{"POST", "/account/passkeys", staff.RegisterKey, (*site).registerPasskey},
	{"POST", "/account/passkeys/drop", staff.OwnAccount, (*site).dropPasskey},

	{"GET", "/scans", staff.Read, (*site).scans},
	{"POST", "/scans", staff.ImportAdvisories, (*site).importReport},
	{"GET", "/scans/{id}", staff.Read, (*site).scan},

	{"GET", "/sources", staff.Read, (*site).sources},
	{"POST", "/sources/{id}/content", staff.ImportAdvisories, (*site).importSource},
	{"POST", "/sources/reviews", staff.Decide, (*site).reviewAdvisories},
}
