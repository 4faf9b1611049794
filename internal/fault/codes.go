package fault

// Codes of refusals: one per kind of attack or trouble. They are stable: hosts report them, people look them up.
const (
	Malformed     = "MALFORMED"       // not our encoding, or against the rules of its type
	BadSignature  = "SIGNATURE"       // a signature that does not verify, or by a key the trust root does not know
	Class         = "CLASS"           // the trust root has no rule for this class of order
	Author        = "AUTHOR"          // the quorum would need the author, or the author is unknown
	Quorum        = "QUORUM"          // too few different people in the right roles
	Scope         = "SCOPE"           // the roles are right, but limited to other hosts
	Local         = "LOCAL"           // too few signatures by a client that renders the order itself
	RootChain     = "ROOT-CHAIN"      // a trust root that does not follow from the one the host has
	RootRollback  = "ROOT-ROLLBACK"   // made under an older trust root than the host has
	RootExpired   = "ROOT-EXPIRED"    // the trust root's term is over
	MixMatch      = "MIXMATCH"        // order, curation record, snapshot and index do not belong together
	Arbitrary     = "ARBITRARY"       // a package nobody curated, or other bytes than curated
	Downgrade     = "DOWNGRADE"       // the versions go against the verb
	Environment   = "ENVIRONMENT"     // for hosts of another environment
	WrongHost     = "WRONG-HOST"      // for other hosts
	Replay        = "REPLAY"          // the host has seen this sequence number or a later one
	Expired       = "EXPIRED"         // the order's term is over
	WindowTooLong = "WINDOW-TOO-LONG" // longer than the class may have
	OutsideWindow = "WINDOW"          // not open yet, or closed
	Unlogged      = "UNLOGGED"        // not proved to be in the ledger
	LogRollback   = "LOG-ROLLBACK"    // a ledger that is smaller than, or other than, what was seen before
	RepoRollback  = "REPO-ROLLBACK"   // a release file of the repository that is older than, or other than, what was seen before
	Freeze        = "FREEZE"          // the checkpoint, or the repository's release file, is too old
	Clock         = "CLOCK"           // the host's clock is behind what it has seen
	Plan          = "PLAN"            // the host would do something else than was approved
	Held          = "HELD"            // a package of the order is on hold on this host
	Policy        = "POLICY"          // the host's own policy says no
	ForeignRoot   = "FOREIGN-ROOT"    // a file-system root that the host's own policy does not name, or whose path others than root can change
	Interrupted   = "INTERRUPTED"     // the run was cut off; the report says what was found
	Failed        = "FAILED"          // the package manager failed
	Stale         = "STALE"           // would write over what somebody else changed since it was read
)
