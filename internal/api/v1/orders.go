package v1

import (
	"time"

	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Proposal asks for an order. What is signed is worked out by the server and rendered by the client.
type Proposal struct {
	Kind            string           `json:"kind" enum:"stage,production,back-out"`
	Class           string           `json:"class,omitempty"`
	Snapshot        string           `json:"snapshot,omitempty"`
	Of              string           `json:"of,omitempty"`
	Hosts           []string         `json:"hosts,omitempty"`
	Roots           bool             `json:"roots,omitempty"` // also in those other roots of the hosts that lag
	Window          warrant.Window   `json:"window,omitzero"` // this and the texts may be left to the template
	Reason          string           `json:"reason,omitempty"`
	Grounds         string           `json:"grounds,omitempty"`
	Plan            string           `json:"plan,omitempty"`
	BackOut         string           `json:"back_out,omitempty"`
	Vulnerabilities []string         `json:"vulnerabilities,omitempty"`
	Notices         []warrant.Notice `json:"notices,omitempty"`
	Template        string           `json:"template,omitempty"`
	Acknowledge     string           `json:"acknowledge,omitempty"`
}

// Templates are all templates of orders.
type Templates struct {
	Templates []change.Template `json:"templates"`
}

// TemplateDefinition is a template without its name.
type TemplateDefinition struct {
	Zone       string      `json:"time_zone" maxLength:"64"`
	Stage      change.Slot `json:"stage"`
	Production change.Slot `json:"production"`
	Reason     string      `json:"reason" minLength:"1" maxLength:"2000"`
	Plan       string      `json:"plan" minLength:"1" maxLength:"2000"`
	BackOut    string      `json:"back_out" minLength:"1" maxLength:"2000"`
	Audience   string      `json:"audience,omitempty" maxLength:"200"`
}

// Proposed is a new order, and the hosts that need nothing from it.
type Proposed struct {
	Order
	Idle []string `json:"idle"`
}

// Order is an order with what became of it. Payload is what people sign; a client shows it, and nothing else, to the
// person who is about to.
type Order struct {
	ID          string      `json:"id"`
	Kind        string      `json:"kind"`
	Class       string      `json:"class"`
	Environment string      `json:"environment"`
	State       string      `json:"state"`
	Author      string      `json:"author"`
	Sequence    int64       `json:"sequence"`
	Reason      string      `json:"reason"`
	MadeAt      time.Time   `json:"made_at"`
	ExpiresAt   time.Time   `json:"expires_at"`
	OpensAt     time.Time   `json:"opens_at"`
	ClosesAt    time.Time   `json:"closes_at"`
	EndedAt     time.Time   `json:"ended_at,omitzero"`
	Of          string      `json:"of,omitempty"`
	Snapshot    string      `json:"snapshot"`
	SHA256      string      `json:"sha256"` // of the payload
	Signatures  []Signature `json:"signatures,omitempty"`
	Manifest    string      `json:"manifest,omitempty"`
	Result      string      `json:"result,omitempty"`
	Payload     []byte      `json:"payload,omitempty"`
}

// Signature is a person's approval.
type Signature struct {
	Person string    `json:"person"`
	At     time.Time `json:"at"`
	Key    string    `json:"key"`
	Kind   string    `json:"kind"`
}

// Orders are the latest orders, newest first, without payloads and signatures.
type Orders struct {
	Orders []Order `json:"orders"`
}

// Approval hands in a signature over a payload.
type Approval struct {
	Signature envelope.Signature `json:"signature"`
}

// Reason says why.
type Reason struct {
	Reason string `json:"reason" minLength:"1"`
}

// Rollout is an order on its way to its hosts.
type Rollout struct {
	Order     string    `json:"order"`
	State     string    `json:"state"`
	Budget    int       `json:"budget"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	Runs      []Run     `json:"runs"`
}

// Run is one host's part of a rollout.
type Run struct {
	Host      string    `json:"host"`
	Wave      int       `json:"wave"`
	State     string    `json:"state"`
	Code      string    `json:"code,omitempty"`
	OfferedAt time.Time `json:"offered_at,omitzero"`
	BegunAt   time.Time `json:"begun_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	Report    string    `json:"report,omitempty"`
	Session   string    `json:"session,omitempty"`
}
