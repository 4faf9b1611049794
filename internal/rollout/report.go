package rollout

import (
	"encoding/base64"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// ReportType of the envelopes executors sign.
const ReportType = "application/vnd.patchwarrant.report.v1+json"

const reportPredicate = "https://patchwarrant.org/report/v1"

// Report is what a host's executor says became of an order.
type Report struct {
	Order       string `json:"order"`
	OrderDigest string `json:"order_sha256"`
	Host        string `json:"host"`
	Outcome     State  `json:"outcome"`
	Code        string `json:"code,omitempty"`
	Session     string `json:"session"`
}

// readReport verifies a report by the key the host registered when it was enrolled.
func readReport(in wire.Report, host estate.Host) (Report, error) {
	public, err := base64.StdEncoding.DecodeString(host.ReportKey)
	if err != nil || len(public) != 32 {
		return Report{}, fault.New(fault.Denied, "host %s has registered no report key", host.ID)
	}
	key := envelope.Ed25519Key(public)
	if in.Envelope.PayloadType != ReportType || len(in.Envelope.Signatures) != 1 {
		return Report{}, fault.Refuse(fault.Malformed, "it is no report with one signature")
	}
	if _, err := key.Verify(ReportType, in.Envelope.Payload, in.Envelope.Signatures[0]); err != nil {
		return Report{}, err
	}
	r, _, err := envelope.DecodeStatement[Report](in.Envelope.Payload, reportPredicate)
	if err != nil {
		return r, fault.Refuse(fault.Malformed, "%w", err)
	}
	if r.Host != host.ID || r.Order != in.Order {
		return r, fault.New(fault.Denied, "it is of host %s on order %s", r.Host, r.Order)
	}
	return r, nil
}
