package v1

import "github.com/patchwarrant/patchwarrant/internal/duty"

// Duties are all that have no owner, by kind and subject.
type Duties struct {
	Duties []duty.Duty `json:"duties"`
}

// DutySubject names a duty.
type DutySubject struct {
	Subject string `json:"subject" minLength:"1" maxLength:"200" doc:"as the list has it, such as source/kev"`
}
