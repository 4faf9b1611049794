package rollout

import (
	"encoding/base64"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// readReport verifies a report by the key the host registered when it was enrolled, and that it is about the order's
// bytes. A refusal may name no order: the executor could not read what it was given.
func readReport(in wire.Report, host estate.Host, orderDigest string) (warrant.Report, error) {
	public, err := base64.StdEncoding.DecodeString(host.ReportKey)
	if err != nil || len(public) != 32 {
		return warrant.Report{}, fault.New(fault.Denied, "host %s has registered no report key", host.ID)
	}
	r, err := warrant.OpenReport(in.Envelope, envelope.Ed25519Key(public))
	if err != nil {
		return r, err
	}
	unread := r.Outcome == warrant.Refused && r.Order == ""
	if r.Host != host.ID || !unread && (r.Order != in.Order || r.OrderDigest != orderDigest) {
		return r, fault.New(fault.Denied, "it is of host %s on order %q with digest %q", r.Host, r.Order, r.OrderDigest)
	}
	return r, nil
}
