package v1

import (
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// Person asks for a challenge.
type Person struct {
	Person string `json:"person" maxLength:"100"`
}

// Challenge is what the person signs, as staff.EncodeLogin puts it, to log in at the server of this origin; or, in a
// browser, has a passkey sign.
type Challenge struct {
	Challenge string          `json:"challenge"`
	Origin    string          `json:"origin"`
	ExpiresAt time.Time       `json:"expires_at"`
	Passkey   *PasskeyRequest `json:"passkey,omitempty"`
}

// PasskeyRequest is for PublicKeyCredential.parseRequestOptionsFromJSON. Source: WebAuthn level 3, 5.1.9.
type PasskeyRequest struct {
	Challenge        string       `json:"challenge"`
	RPID             string       `json:"rpId"`
	AllowCredentials []Credential `json:"allowCredentials"`
	UserVerification string       `json:"userVerification"`
	Timeout          int64        `json:"timeout"` // milliseconds
}

// Credential names a passkey.
type Credential struct {
	Type string `json:"type"` // public-key
	ID   string `json:"id"`   // base64url
}

// Login answers a challenge.
type Login struct {
	Person    string             `json:"person"`
	Challenge string             `json:"challenge"`
	Signature envelope.Signature `json:"signature"`
}

// LoggedIn has the bearer token for the header "Authorization: Bearer …".
type LoggedIn struct {
	Token string `json:"token"`
	Whoami
}

// Whoami is the person behind a session, and what the session may do.
type Whoami struct {
	Session   string         `json:"session"`
	Person    string         `json:"person"`
	Name      string         `json:"name"`
	Roles     []string       `json:"roles"`
	Way       staff.Way      `json:"way"`
	Key       string         `json:"key"`
	Actions   []staff.Action `json:"actions"`
	MadeAt    time.Time      `json:"made_at"`
	ExpiresAt time.Time      `json:"expires_at"` // of the session, unless it is used before
}

// Sessions are logins in force, the latest used first.
type Sessions struct {
	Sessions []staff.OpenSession `json:"sessions"`
}

// Tokens are those of programs, the newest first.
type Tokens struct {
	Tokens []staff.Token `json:"tokens"`
}

// NewToken asks for a token for a program.
type NewToken struct {
	Name    string         `json:"name" minLength:"1" maxLength:"100"`
	Actions []staff.Action `json:"actions" minItems:"1" maxItems:"20"`
	Days    int            `json:"days" minimum:"1" maximum:"90"`
}

// MadeToken has the secret of a token. It is shown once.
type MadeToken struct {
	Secret string `json:"secret"`
	staff.Token
}

// Registration is for PublicKeyCredential.parseCreationOptionsFromJSON. Source: WebAuthn level 3, 5.1.8.
type Registration struct {
	Challenge              string            `json:"challenge"`
	RP                     RelyingParty      `json:"rp"`
	User                   User              `json:"user"`
	PubKeyCredParams       []CredentialParam `json:"pubKeyCredParams"`
	ExcludeCredentials     []Credential      `json:"excludeCredentials"`
	AuthenticatorSelection Selection         `json:"authenticatorSelection"`
	Attestation            string            `json:"attestation"`
	Timeout                int64             `json:"timeout"` // milliseconds
}

// RelyingParty is the site a passkey is for.
type RelyingParty struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// User is whom the authenticator shows; the ID tells nothing.
type User struct {
	ID          string `json:"id"` // base64url
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
}

// CredentialParam is a kind of key, as COSE numbers it.
type CredentialParam struct {
	Type string `json:"type"`
	Alg  int    `json:"alg"`
}

// Selection is what is asked of the authenticator.
type Selection struct {
	UserVerification string `json:"userVerification"`
	ResidentKey      string `json:"residentKey"`
}

// NewPasskey answers a registration.
type NewPasskey struct {
	Name       string         `json:"name" minLength:"1" maxLength:"100"`
	Challenge  string         `json:"challenge"`
	Credential map[string]any `json:"credential"` // PublicKeyCredential.toJSON()
}

// Passkeys wait for the next trust root.
type Passkeys struct {
	Passkeys []staff.Passkey `json:"passkeys"`
}

// Accounts are the people of the trust root in force with their clocks.
type Accounts struct {
	TrustRoot int64           `json:"trust_root"` // its version
	Accounts  []staff.Account `json:"accounts"`
}

// AccountReview says that someone's roles and keys, as a version of the trust root has them, are right.
type AccountReview struct {
	TrustRoot int64  `json:"trust_root" minimum:"1"`
	Comment   string `json:"comment" maxLength:"2000"`
}

// FirstSignature is one under the first trust root, whose digest its signer read.
type FirstSignature struct {
	SHA256    string             `json:"sha256"`
	Signature envelope.Signature `json:"signature"`
}

// FirstSigned says whose signature was taken, and whether the trust root is in force by it.
type FirstSigned struct {
	SHA256  string `json:"sha256"`
	Person  string `json:"person"`
	Key     string `json:"key"`
	InForce bool   `json:"in_force"`
}

// Link has the secret of a bootstrap link or of an invitation.
type Link struct {
	Secret string `json:"secret" maxLength:"100"`
}

// FirstTrustRoot installs a trust root, pinned by the digest its people agreed on.
type FirstTrustRoot struct {
	SHA256   string            `json:"sha256"`
	Envelope envelope.Envelope `json:"envelope"`
}

// Identity is what a trust root says about the server, and what an enrolment line and a login pin. It is what
// patchwarrantd init prints.
type Identity struct {
	Origin        string `json:"origin"`
	LedgerKey     string `json:"ledger_key"`
	RepositoryKey string `json:"repository_key"` // armoured
	CASHA256      string `json:"ca_sha256"`
}

// Providers are the names of the OpenID providers by which people may log in.
type Providers struct {
	Providers []string `json:"providers"`
}

// BegunLogin says where the browser goes, and the secret that it keeps until it comes back.
type BegunLogin struct {
	URL     string `json:"url"`
	Binding string `json:"binding"`
}

// BroughtBack is what the browser comes back with, and the secret it kept.
type BroughtBack struct {
	Binding string `json:"binding" maxLength:"100"`
	State   string `json:"state" maxLength:"100"`
	Code    string `json:"code" maxLength:"4000"`
}

// Event tells that there is a new act, of which a page may show something.
type Event struct {
	Index   int64  `json:"index"`
	Kind    string `json:"kind"`
	Subject string `json:"subject"`
}
