package ledger

import (
	"strings"
	"testing"
)

func TestReason(t *testing.T) {
	for text, want := range map[string]string{" hall 2 is closed\n": "hall 2 is closed", strings.Repeat("x", MaxReason): strings.Repeat("x", MaxReason),
		"": "", " \t\n": "", strings.Repeat("x", MaxReason+1): ""} {
		if got, err := Reason(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%.20q: %.20q, %v", text, got, err)
		}
	}
}
