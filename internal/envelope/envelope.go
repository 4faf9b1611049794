// Package envelope holds signed documents: DSSE envelopes over raw payload bytes, with the kinds of signature that
// people and services make (sshsig, webauthn, ed25519), and the strict decoding of what was signed.
package envelope

// Envelope is a DSSE envelope. The signatures are over PAE(PayloadType, Payload), never over a re-encoding.
type Envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     []byte      `json:"payload"`
	Signatures  []Signature `json:"signatures"`
}

// Signature kinds.
const (
	SSH      = "sshsig"   // SSHSIG over the PAE, namespace = Namespace(payload type), hash sha512 or sha256
	WebAuthn = "webauthn" // assertion whose challenge is SHA-256(PAE)
	Ed25519  = "ed25519"  // plain signature over the PAE, for hosts and services
)

// Signature is one signature in an envelope. Its bytes are never an identifier (ECDSA is malleable).
type Signature struct {
	KeyID     string     `json:"keyid"`
	Kind      string     `json:"kind"`
	Sig       []byte     `json:"sig"` // sshsig: the binary SSHSIG blob; webauthn: the raw signature; ed25519: 64 bytes
	Assertion *Assertion `json:"assertion,omitempty"`
}

// Assertion is what a WebAuthn authenticator signed besides the challenge, kept raw.
type Assertion struct {
	AuthenticatorData []byte `json:"authenticatorData"`
	ClientDataJSON    []byte `json:"clientDataJSON"`
}

// Key is a public key as a trust root or the host table holds it.
//
//	sshsig:   Public is an authorized_keys line's "type base64" (no comment); ID is its SHA256:… fingerprint
//	webauthn: Public is base64 (std) of the SPKI; ID is "webauthn:" + base64url of the credential ID
//	ed25519:  Public is base64 (std) of the 32 bytes; ID is "ed25519:" + lower hex of the first 16 bytes of its SHA-256
type Key struct {
	ID      string   `json:"id"`
	Kind    string   `json:"kind"`
	Public  string   `json:"public"`
	RPID    string   `json:"rp_id,omitempty"`   // webauthn only
	Origins []string `json:"origins,omitempty"` // webauthn only
}

// Proof says what a verified signature showed.
type Proof struct {
	KeyID        string
	Kind         string
	UserPresent  bool // sk- keys and webauthn: touched
	UserVerified bool // sk- keys and webauthn: PIN or biometry
	Hardware     bool // sk- key or webauthn
}
