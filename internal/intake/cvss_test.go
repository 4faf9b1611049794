package intake_test

import (
	"slices"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

func FuzzReadCVSS(f *testing.F) {
	for _, vector := range []string{"AV:N/AC:L/Au:N/C:P/I:P/A:P", "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H/E:X",
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"} {
		f.Add(vector)
	}
	f.Fuzz(func(t *testing.T, vector string) {
		c, err := intake.ReadCVSS(vector, "x")
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
			return
		}
		if c.Score < 0 || c.Score > 10 || !slices.Contains([]string{"none", "low", "medium", "high", "critical"}, c.Severity) {
			t.Errorf("%+v", c)
		}
	})
}
