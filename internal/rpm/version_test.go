package rpm

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	oracle "github.com/knqyf263/go-rpm-version"
	"pgregory.net/rapid"
)

// inOrder is strictly increasing under rpm's rule; versions on one line are equal.
var inOrder = [][]string{
	{"0~~-1"}, {"0~-1"}, {"0-1", "00-1", "0:0-1", "0.-01"}, {"0^-1"}, {"0^1-1"}, {"0a~-1"}, {"0a-1", "0.a-1"}, {"0ab-1"}, {"0b-1"}, {"0.0-1"},
	{"1.0~rc1-1"}, {"1.0~rc1^git1-1"}, {"1.0-1", "1.00-1", "1..0-1", "1_0-01"}, {"1.0-1.el9"}, {"1.0-1.el9_2", "1.0-1.el9.2"}, {"1.0-2.el8"},
	{"1.0^20200101-1"}, {"1.0a-1"}, {"1.0.1-1"}, {"1.1-1"}, {"99999999999999999999999999-1"}, {"100000000000000000000000000-1"},
	{"1:0.1-1"}, {"2:0-1"},
}

func TestCompareFollowsRpmsRule(t *testing.T) {
	for i, line := range inOrder {
		for j, other := range inOrder {
			for _, a := range line {
				for _, b := range other {
					checkPair(t, a, b, sign(i-j))
				}
			}
		}
	}
}

// checkPair checks that Compare and Key both give the order want.
func checkPair(t interface {
	Helper()
	Fatalf(string, ...any)
}, a, b string, want int) {
	t.Helper()
	if got := sign(Compare(a, b)); got != want {
		t.Fatalf("Compare(%q, %q) = %d, want %d", a, b, got, want)
	}
	ka, err := Key(a)
	if err != nil {
		t.Fatalf("%v", err)
	}
	kb, err := Key(b)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if got := bytes.Compare(ka, kb); got != want {
		t.Fatalf("Key(%q) = %x, Key(%q) = %x: order %d, want %d", a, ka, b, kb, got, want)
	}
}

func sign(n int) int { return min(1, max(-1, n)) }

// versions draws versions near to each other.
func versions() *rapid.Generator[string] {
	part := rapid.SampledFrom([]string{"0", "00", "1", "01", "9", "10", "007", "a", "b", "A", "z", "rc", "~", "~~", "^", "+", ".", "_", "el9", "fc40"})
	return rapid.Custom(func(t *rapid.T) string {
		var s strings.Builder
		if rapid.Bool().Draw(t, "epoch") {
			s.WriteString(rapid.SampledFrom([]string{"0:", "1:", "10:"}).Draw(t, "epoch value"))
		}
		for range 2 {
			s.WriteByte(byte('0' + rapid.IntRange(0, 9).Draw(t, "first digit")))
			s.WriteString(strings.Join(rapid.SliceOfN(part, 0, 5).Draw(t, "parts"), ""))
			s.WriteByte('-')
		}
		return strings.TrimSuffix(s.String(), "-")
	})
}

func TestCompareAndKeyAgreeWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := versions().Draw(t, "a"), versions().Draw(t, "b")
		checkPair(t, a, b, sign(oracle.NewVersion(a).Compare(oracle.NewVersion(b))))
	})
}

// TestCompareAgreesWithRpm asks the real rpm, in one start, about all pairs of the table and of drawn versions.
func TestCompareAgreesWithRpm(t *testing.T) {
	rpm, err := exec.LookPath("rpm")
	if err != nil {
		t.Skip("rpm is not installed here")
	}
	var all []string
	for _, line := range inOrder {
		all = append(all, line...)
	}
	draw := versions()
	for n := range 60 {
		all = append(all, draw.Example(n))
	}
	program := `v = {"` + strings.Join(all, `","`) + `"} s = {} for i = 1, #v do for j = 1, #v do s[#s+1] = tostring(rpm.vercmp(v[i], v[j])) end end print(table.concat(s, " "))`
	out, err := exec.Command(rpm, "--eval", "%{lua:"+program+"}").Output()
	if err != nil {
		t.Fatalf("rpm --eval: %v", err)
	}
	answers := strings.Fields(string(out))
	if len(answers) != len(all)*len(all) {
		t.Fatalf("rpm gives %d answers for %d pairs", len(answers), len(all)*len(all))
	}
	for n, answer := range answers {
		checkPair(t, all[n/len(all)], all[n%len(all)], map[string]int{"-1": -1, "0": 0, "1": 1}[answer])
	}
}

func TestInvalidVersionsAreRefused(t *testing.T) {
	for _, v := range []string{"", "1", ":1-1", "a:1-1", "1:-1", "1-", "-1", "1 2-1", "1\x00-1", "1é-1", "4294967296:1-1", "1-1:1", "1/2-1", strings.Repeat("1", MaxVersion) + "-1"} {
		if err := ValidVersion(v); err == nil {
			t.Errorf("ValidVersion(%q) accepts", v)
		}
		if k, err := Key(v); err == nil {
			t.Errorf("Key(%q) = %x", v, k)
		}
	}
}

func FuzzVersion(f *testing.F) {
	for _, line := range inOrder {
		f.Add(line[0], "1:1.0-1.el9")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		order := sign(Compare(a, b))
		if back := sign(Compare(b, a)); back != -order {
			t.Fatalf("Compare(%q, %q) = %d but the other way %d", a, b, order, back)
		}
		if ValidVersion(a) == nil && ValidVersion(b) == nil {
			checkPair(t, a, b, order)
		}
	})
}
