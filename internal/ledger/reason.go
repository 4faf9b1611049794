package ledger

import (
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// MaxReason bounds what a person says in an act, in bytes.
const MaxReason = 4000

// Reason gives why a person does something, as an act tells it: trimmed. It is Invalid where nothing is said, or more than MaxReason.
func Reason(text string) (string, error) {
	if text = strings.TrimSpace(text); text == "" || len(text) > MaxReason {
		return "", fault.New(fault.Invalid, "a reason of at most %d bytes is needed", MaxReason)
	}
	return text, nil
}
