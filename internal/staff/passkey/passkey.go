// Package passkey checks what an authenticator attests of a credential it made. Only the server links it: who verifies
// signatures later needs the public key alone.
package passkey

import (
	"crypto/x509"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/google/uuid"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

const maxResponse = 64 << 10 // bytes; attestation certificates take a few thousand

// Attest implements staff.Attester: present and verified user, this site and challenge, ES256, an attestation statement
// that verifies if there is one. Whose certificate made the statement is not judged: the object is kept for who wants to.
func Attest(response []byte, challenge, rpID string, origins []string) (staff.Attested, error) {
	if len(response) > maxResponse {
		return staff.Attested{}, fault.New(fault.Invalid, "the credential is over %d bytes", maxResponse)
	}
	made, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return staff.Attested{}, fault.New(fault.Invalid, "the credential is not what a browser gives: %w", err)
	}
	es256 := []protocol.CredentialParameter{{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256}}
	_, err = made.Verify(challenge, rpID, origins, nil, nil, protocol.TopOriginExplicitVerificationMode, false, true, true, nil, es256,
		protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
	if err != nil {
		return staff.Attested{}, fault.New(fault.Invalid, "the credential was not made for this site, now, with its user verified: %w", err)
	}
	data := made.Response.AttestationObject.AuthData
	spki, err := spki(data.AttData.CredentialPublicKey)
	if err != nil {
		return staff.Attested{}, fault.New(fault.Invalid, "the credential's public key: %w", err)
	}
	model, err := uuid.FromBytes(data.AttData.AAGUID)
	if err != nil {
		return staff.Attested{}, fault.New(fault.Invalid, "the authenticator's model: %w", err)
	}
	return staff.Attested{Credential: data.AttData.CredentialID, SPKI: spki, AAGUID: model.String(),
		Object: made.Raw.AttestationResponse.AttestationObject, BackupEligible: data.Flags.HasBackupEligible() || data.Flags.HasBackupState()}, nil
}

// spki converts a COSE key, once and for all.
func spki(cose []byte) ([]byte, error) {
	parsed, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return nil, err
	}
	ec, ok := parsed.(webauthncose.EC2PublicKeyData)
	if !ok {
		return nil, fault.New(fault.Invalid, "want ES256")
	}
	public, err := ec.ToECDSA()
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKIXPublicKey(public)
}
