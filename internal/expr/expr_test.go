package expr_test

import (
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/expr"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

var language = expr.NewLanguage(map[string]expr.Type{"zone": expr.Text, "cvss": expr.Number, "kev": expr.Truth, "groups": expr.Texts})

var values = map[string]any{"zone": "ca", "cvss": 7.5, "kev": true, "groups": []string{"web", "edge"}}

func TestConditions(t *testing.T) {
	for text, want := range map[string]bool{
		`kev`:                            true,
		`cvss >= 7.0 && zone == "ca"`:    true,
		`cvss >= 8`:                      false,
		`"edge" in groups`:               true,
		`zone in ["dmz", "office"]`:      false,
		`groups.exists(g, g == "web")`:   true,
		`zone.startsWith("c") && !(kev)`: false,
	} {
		c, err := language.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := c.Holds(values); err != nil || got != want {
			t.Errorf("%s gives %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestConditionsThatAreRefused(t *testing.T) {
	for text, says := range map[string]string{
		``:                             "1 to 2000 bytes",
		strings.Repeat(" kev ||", 400): "1 to 2000 bytes",
		`cvss >`:                       "line 1",
		`cvs > 7.0`:                    "fields: cvss, groups, kev, zone",
		`zone`:                         "true or false",
		`zone > 7`:                     "line 1",
		`system("id")`:                 "line 1",
	} {
		_, err := language.Compile(text)
		if err == nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%.40q: %v; want Invalid with %q", text, err, says)
		}
	}
}

// A condition that would take the server's time fails, it neither hangs nor holds.
func TestACostlyConditionFails(t *testing.T) {
	list := "[" + strings.Repeat("1,", 99) + "1]"
	c, err := language.Compile(list + ".all(a, " + list + ".all(b, " + list + ".all(c, a + b + c > 0)))")
	if err != nil {
		t.Fatal(err)
	}
	if held, err := c.Holds(values); err == nil || held {
		t.Errorf("a million steps: %v, %v; want an error", held, err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{`kev && cvss > 7.0`, `groups.exists(g, g == zone)`, `"\u0000" == zone`, `1 / 0 == 1`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := language.Compile(text)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		_, _ = c.Holds(values)
	})
}
