package warrant

import (
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// ReportType is the payload type of an executor's report, signed with the host's report key.
const ReportType = "application/vnd.patchwarrant.report.v1+json"

const reportPredicate = "https://patchwarrant.org/report/v1"

// Outcomes of an order on a host. Refused: nothing was changed.
const (
	Done        = "done"
	Refused     = "refused"
	RunFailed   = "failed"
	Interrupted = "interrupted"
)

// Report says what a host's executor did with a warrant. Order is what the warrant claims to be; where the outcome is
// refused nothing in it may have been signed by anyone, and for a document that cannot be read it is empty.
type Report struct {
	Host        string     `json:"host"`
	Order       string     `json:"order"`
	OrderDigest string     `json:"order_digest"` // of the order's payload
	Outcome     string     `json:"outcome"`
	Code        string     `json:"code,omitempty"` // of a fault, unless done
	Reason      string     `json:"reason,omitempty"`
	BegunAt     time.Time  `json:"begun_at"`
	EndedAt     time.Time  `json:"ended_at"`
	Packages    []Observed `json:"packages"`          // the order's, as found at the end; empty when refused
	Session     string     `json:"session,omitempty"` // sha256 of the recorded session
	LogSize     int64      `json:"log_size"`          // of the newest checkpoint this host has acted on
	LogRoot     string     `json:"log_root"`          // lower hex
}

// Observed is one package's change as found on the host. Now and Status are empty where it is not installed.
type Observed struct {
	Name   string `json:"name"`
	Arch   string `json:"arch"`
	From   string `json:"from,omitempty"` // by the order
	To     string `json:"to,omitempty"`   // by the order
	Now    string `json:"now,omitempty"`
	Status string `json:"status,omitempty"` // dpkg's, such as "installed"
}

// Encode gives the payload that the host signs.
func (r Report) Encode() ([]byte, error) { return envelope.EncodeStatement(reportPredicate, nil, r) }

// OpenReport verifies a report by its host's key and reads it. Refusals have the codes SIGNATURE and MALFORMED.
func OpenReport(e envelope.Envelope, key envelope.Key) (Report, error) {
	if e.PayloadType != ReportType || len(e.Signatures) != 1 {
		return Report{}, fault.Refuse(fault.Malformed, "report: want one signature on payload type %s", ReportType)
	}
	if _, err := key.Verify(e.PayloadType, e.Payload, e.Signatures[0]); err != nil {
		return Report{}, err
	}
	r, _, err := envelope.DecodeStatement[Report](e.Payload, reportPredicate)
	if err == nil && !slices.Contains([]string{Done, Refused, RunFailed, Interrupted}, r.Outcome) {
		err = fault.New(fault.Invalid, "unknown outcome %q", r.Outcome)
	}
	if err != nil {
		return Report{}, fault.Refuse(fault.Malformed, "report: %w", err)
	}
	return r, nil
}
