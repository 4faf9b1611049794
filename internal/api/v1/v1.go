// Package v1 is what a person's programs and the server say to each other: the documents of version 1 of the HTTP API,
// whose routes and rules stand in /openapi.json.
package v1

import (
	"errors"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/build"
	"github.com/patchwarrant/patchwarrant/internal/drift"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/retirement"
	"github.com/patchwarrant/patchwarrant/internal/silence"
)

// Prefix of all routes.
const Prefix = "/api/v1"

// Packages of a host's root, by name.
type Packages struct {
	Packages []estate.Package `json:"packages"`
}

// ProblemType is the content type of a Problem. Source: RFC 9457.
const ProblemType = "application/problem+json"

// Problem is the answer to a request that failed. It never repeats what the request said.
type Problem struct {
	Type   string     `json:"type"` // "about:blank", or "https://patchwarrant.org/problem/<code>"
	Title  string     `json:"title"`
	Status int        `json:"status"`
	Detail string     `json:"detail"`
	Kind   fault.Kind `json:"kind"`
	Code   string     `json:"code,omitempty"`   // which attack it looks like, e.g. AUTHOR
	Errors []string   `json:"errors,omitempty"` // what is wrong with the request, place by place
}

// Fault gives the problem as the error it was on the server.
func (p Problem) Fault() error {
	err := fault.New(p.Kind, "%s", strings.Join(append([]string{p.Detail}, p.Errors...), "; "))
	if e, ok := errors.AsType[*fault.Error](err); ok {
		e.Code = p.Code
	}
	return err
}

// TrustRoots are envelopes of trust roots, oldest first.
type TrustRoots struct {
	Roots []envelope.Envelope `json:"roots"`
}

// TrustRoot is the trust root in force.
type TrustRoot struct {
	Version   int64     `json:"version"`
	SHA256    string    `json:"sha256"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Hosts are all hosts of the estate.
type Hosts struct {
	Hosts []estate.Host `json:"hosts"`
}

// Records are records of the inventory.
type Records struct {
	Records []record.Record `json:"records"`
}

// RecordLink names the enrolled host that a record is about.
type RecordLink struct {
	Host string `json:"host" minLength:"1" maxLength:"200"`
}

// FileStates are the newest file states of a host, the newest first.
type FileStates struct {
	States []estate.FileState `json:"states"`
}

// RetirementProposal asks to take a host out of service.
type RetirementProposal struct {
	Host   string `json:"host" minLength:"1" maxLength:"200"`
	Reason string `json:"reason" minLength:"1" maxLength:"4000"`
}

// Retirements are hosts on their way out of service.
type Retirements struct {
	Retirements []retirement.Retirement `json:"retirements"`
}

// Silences are clocks of hosts that ran out, the worst first.
type Silences struct {
	Counts   map[string]int    `json:"counts"` // of all, by clock
	Silences []silence.Silence `json:"silences"`
}

// Group is a group of hosts with how many it has.
type Group struct {
	group.Group
	Hosts  int `json:"hosts"`
	Failed int `json:"failed"` // hosts for which its condition cannot be evaluated
}

// Groups are all groups, and the fields that conditions may ask about.
type Groups struct {
	Groups []Group  `json:"groups"`
	Fields []string `json:"fields"`
}

// GroupDefinition says who is in a group.
type GroupDefinition struct {
	Expression string `json:"expression" minLength:"1" maxLength:"2000"`
	Note       string `json:"note,omitempty" maxLength:"500"`
}

// Drift is production by distinct package sets, the farthest from stage first.
type Drift struct {
	Kinds []drift.Kind `json:"kinds"`
}

// Builds are all standard builds.
type Builds struct {
	Builds []build.Build `json:"builds"`
}

// Build is a standard build with the records of hosts that came from it.
type Build struct {
	build.Build
	Records []record.Record `json:"records"`
}

// BuildOfHost registers what a host has as a build.
type BuildOfHost struct {
	Host string `json:"host" minLength:"1" maxLength:"200"`
	Days int    `json:"days" minimum:"1" maximum:"365"`
}

// Enrolment asks for an enrolment line: for a new host of a name and an environment, or for a host enrolled before.
type Enrolment struct {
	Name        string `json:"name,omitempty"`
	Environment string `json:"environment,omitempty"`
	Host        string `json:"host,omitempty"`
	Hours       int    `json:"hours" minimum:"1" maximum:"24"`
}

// EnrolmentLine is what root runs on the host, once. It is shown once.
type EnrolmentLine struct {
	Line      string    `json:"line"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Sources are all sources of advisories.
type Sources struct {
	Sources []intake.SourceState `json:"sources"`
}

// Documents are a part of a collection's documents, by path.
type Documents struct {
	All       int               `json:"all"`
	Documents []intake.Document `json:"documents"`
}

// Shrink accepts what a source states though it is much less than before: the SHA-256 of what was refused, and why it is right.
type Shrink struct {
	Digest string `json:"digest"`
	Reason string `json:"reason"`
}

// Receipt is what came of importing a source's bytes.
type Receipt struct {
	intake.Receipt
	Digest    string `json:"digest"`
	Unchanged bool   `json:"unchanged"`
}

// Advisories are the ones that wait for a person's review, the longest due first.
type Advisories struct {
	All        int               `json:"all"`
	Advisories []intake.Advisory `json:"advisories"`
}

// Act is an entry of the ledger.
type Act struct {
	Index int64 `json:"index"`
	proof.Act
}

// Acts are entries of the ledger, oldest first.
type Acts struct {
	Acts []Act `json:"acts"`
}

// Consistency proves that the log of one size continues the log of a smaller one.
type Consistency struct {
	Hashes [][]byte `json:"hashes"`
}

// Audit is what a replay of the whole ledger found; no findings means that it is whole.
type Audit struct {
	Size     int64    `json:"size"`
	Root     string   `json:"root"`
	Findings []string `json:"findings"`
}
