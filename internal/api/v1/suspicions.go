package v1

import "github.com/patchwarrant/patchwarrant/internal/suspicion"

// NewSuspicion reports a vulnerability that one suspects. At least one of host, package and place says where.
type NewSuspicion struct {
	Title    string      `json:"title" minLength:"1" maxLength:"200"`
	Host     string      `json:"host,omitempty" maxLength:"200"`
	Package  string      `json:"package,omitempty" maxLength:"200"`
	Place    string      `json:"place,omitempty" maxLength:"200" doc:"where else"`
	Noticed  string      `json:"noticed" minLength:"1" maxLength:"4000" doc:"how it was noticed"`
	Evidence *Attachment `json:"evidence,omitempty"`
}

// Attachment is a file of at most 256 KiB.
type Attachment struct {
	Name    string `json:"name" minLength:"1" maxLength:"200"`
	Content []byte `json:"content"`
}

// Suspicions are those that the caller may see, the newest first, and counts of all of them.
type Suspicions struct {
	suspicion.Counts
	Suspicions []suspicion.Suspicion `json:"suspicions"`
}

// NewOwner names who owns it from now on; empty: the caller.
type NewOwner struct {
	Owner string `json:"owner,omitempty" maxLength:"64"`
}

// Reply says what a suspicion is: the vulnerability named, a new one, a duplicate of another suspicion, or none.
type Reply struct {
	Kind          string          `json:"kind" enum:"vulnerability,duplicate,none"`
	Vulnerability string          `json:"vulnerability,omitempty" maxLength:"200" doc:"ID/source, of one that is known"`
	New           *suspicion.Ours `json:"new,omitempty"`
	Of            string          `json:"of,omitempty" maxLength:"64" doc:"the suspicion it is a duplicate of"`
	Reason        string          `json:"reason" minLength:"1" maxLength:"4000"`
}
