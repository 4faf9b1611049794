package warrant

import (
	"cmp"
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/patchwarrant/patchwarrant/internal/deb"
)

func TestVersionKeyOrdersAsDpkg(t *testing.T) {
	ordered := []string{"~~", "~~a", "~", "0~rc1", "0", "0.1", "1~", "1", "1-0.1", "1-1~deb12u1", "1-1", "1-1+deb12u1", "1+b1", "1.0~rc1-1", "1.0-1", "1.0a-1",
		"1.0+dfsg-1", "1.0.1-1", "1.2", "1.10", "1:0.1", "1:1.0-1", "2:0"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := strings.Compare(versionKey(a), versionKey(b)), strings.Compare(string(rune('A'+i)), string(rune('A'+j))); got != want {
				t.Errorf("%s against %s: %d, want %d", a, b, got, want)
			}
		}
	}
	for _, same := range [][2]string{{"1.0", "1.00"}, {"0:1", "1"}, {"1-0", "1"}, {"a", "a0"}, {"1.0-1", "0:1.0-1"}} {
		if versionKey(same[0]) != versionKey(same[1]) {
			t.Errorf("%s and %s should be equal", same[0], same[1])
		}
	}
}

func TestVersionKeyAgreesWithDeb(t *testing.T) {
	version := rapid.StringMatching(`([0-3]:)?[0-9][0-9a-cA-C.+~]{0,8}(-[0-9a-c.+~]{1,5})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := version.Draw(t, "a"), version.Draw(t, "b")
		if got, want := strings.Compare(versionKey(a), versionKey(b)), cmp.Compare(deb.Compare(a, b), 0); got != want {
			t.Fatalf("%s against %s: %d, deb says %d", a, b, got, want)
		}
	})
}

func TestVersionKeyAgreesWithDpkg(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("no dpkg on this machine")
	}
	version := rapid.StringMatching(`([0-3]:)?[0-9][0-9a-cA-C.+~]{0,8}(-[0-9a-c.+~]{1,5})?`)
	for i := range 200 {
		a, b := version.Example(2*i), version.Example(2*i+1)
		older := exec.Command("dpkg", "--compare-versions", a, "lt", b).Run() == nil
		if (versionKey(a) < versionKey(b)) != older {
			t.Errorf("%s against %s: dpkg says older is %t", a, b, older)
		}
	}
}
