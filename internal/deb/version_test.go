package deb

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	oracle "github.com/knqyf263/go-deb-version"
	"pgregory.net/rapid"
)

// inOrder is strictly increasing under dpkg's rule; versions on one line are equal.
var inOrder = [][]string{
	{"0~~"}, {"0~"}, {"0", "0-0", "0:0", "00"},
	{"0a~"}, {"0a", "0a0", "0a-0"}, {"0.0~1"}, {"0.", "0.0", "0.00-0"},
	{"1~rc1-1"}, {"1.0~rc1-1"}, {"1.0-1~deb12u1"}, {"1.0-1", "1.00-1", "0:1.0-01"}, {"1.0-1+b1"}, {"1.0-1+deb12u1"},
	{"1.0-1.1"}, {"1.0a-1"}, {"1.0+dfsg-1"}, {"1.0.1-1"},
	{"7.16-4+b3"}, {"7.16-1.1.3-1"}, // the revision begins after the last hyphen, not the first
	{"99999999999999999999999999"}, {"100000000000000000000000000"},
	{"1:0.1"}, {"2:0"},
}

func TestCompareFollowsDpkgsRule(t *testing.T) {
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

// versions draws versions near to each other: few letters, all marks, zeros, numbers of up to 16 digits, and more parts.
func versions(more ...string) *rapid.Generator[string] {
	part := rapid.SampledFrom(append(more, "0", "00", "1", "01", "9", "10", "007", "a", "b", "A", "z", "rc", "~", "~~", "+", ".", "dfsg", "deb12u1"))
	return rapid.Custom(func(t *rapid.T) string {
		var s strings.Builder
		if rapid.Bool().Draw(t, "epoch") {
			s.WriteString(rapid.SampledFrom([]string{"0:", "1:", "01:", "10:"}).Draw(t, "epoch value"))
		}
		s.WriteByte(byte('0' + rapid.IntRange(0, 9).Draw(t, "first digit")))
		for _, p := range rapid.SliceOfN(part, 0, 5).Draw(t, "upstream") {
			s.WriteString(p)
		}
		for _, p := range rapid.SliceOfN(part, 0, 3).Draw(t, "hyphens") {
			s.WriteString("-" + p)
		}
		return s.String()
	})
}

// TestCompareAndKeyAgreeWithOracle draws numbers that fit into an int: the oracle takes all greater ones for equal.
func TestCompareAndKeyAgreeWithOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := versions().Draw(t, "a"), versions().Draw(t, "b")
		checkPair(t, a, b, oracleOrder(t, a, b))
	})
}

func oracleOrder(t interface{ Fatalf(string, ...any) }, a, b string) int {
	va, err := oracle.NewVersion(a)
	if err != nil {
		t.Fatalf("oracle: %v", err)
	}
	vb, err := oracle.NewVersion(b)
	if err != nil {
		t.Fatalf("oracle: %v", err)
	}
	return sign(va.Compare(vb))
}

// TestCompareAgreesWithDpkg asks the real dpkg about a sample: the table's pairs and drawn ones.
func TestCompareAgreesWithDpkg(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skip("dpkg is not installed here")
	}
	random := rand.New(rand.NewPCG(1, 2))
	draw := versions("123456789012345678901234567890")
	for n := range 300 {
		a, b := draw.Example(random.IntN(1<<20)), draw.Example(random.IntN(1<<20))
		if n%3 == 0 {
			b = a + []string{"~", "0", "a", "+b1", ".", "-0"}[random.IntN(6)]
		}
		want := 0
		for op, order := range map[string]int{"lt": -1, "gt": 1} {
			err := exec.Command(dpkg, "--compare-versions", a, op, b).Run()
			var exit *exec.ExitError
			if err == nil {
				want = order
			} else if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Fatalf("dpkg --compare-versions %s %s %s: %v", a, op, b, err)
			}
		}
		checkPair(t, a, b, want)
	}
}

func TestInvalidVersionsAreRefused(t *testing.T) {
	for _, v := range []string{"", ":1", "a:1", "1:", "-1", "1-", "1:-1", "1 2", "1_2", "1\x00", "1é", "1000000000:1", "1-a:b", strings.Repeat("1", MaxVersion+1)} {
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
		f.Add(line[0], "1:1.0-1~deb12u1")
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

func TestCompareDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Compare("1:9.2p1-2+deb12u9", "1:9.2p1-2+deb12u10") }); n != 0 {
		t.Errorf("Compare allocates %v times", n)
	}
}

func BenchmarkCompare(b *testing.B) {
	for b.Loop() {
		Compare("1:9.2p1-2+deb12u9", "1:9.2p1-2+deb12u10")
	}
}

func BenchmarkKey(b *testing.B) {
	for b.Loop() {
		Key("1:9.2p1-2+deb12u9")
	}
}
