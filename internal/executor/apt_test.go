package executor

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// What apt 2.6 printed on a Debian 12 machine: every step is understood, none is lost.
func TestStepsReadsRealSimulations(t *testing.T) {
	understood := regexp.MustCompile(`^((Inst|Conf) \S+( \[\S+\])? \(\S+ \[(amd64|all)\]\)|Remv \S+ \[\S+\])$`)
	for file, want := range map[string]struct {
		steps int
		one   string
	}{
		"install.txt": {38, "Inst hello (2.10-3 [amd64])"},
		"upgrade.txt": {250, "Inst libpam-modules-bin [1.5.2-6+deb12u1] (1.5.2-6+deb12u2 [amd64])"},
		"remove.txt":  {2, "Remv jq [1.6-2.1+deb12u1]"},
	} {
		out, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		all := steps(out)
		if len(all) != want.steps || !strings.Contains("\n"+strings.Join(all, "\n")+"\n", "\n"+want.one+"\n") {
			t.Errorf("%s: %d steps, want %d with %q among them", file, len(all), want.steps, want.one)
		}
		for _, s := range all {
			if !understood.MatchString(s) {
				t.Errorf("%s: step %q", file, s)
			}
		}
	}
	purge, err := os.ReadFile("testdata/purge.txt")
	if err != nil {
		t.Fatal(err)
	}
	if all := steps(purge); len(all) != 2 || all[1] != "Purg jq [1.6-2.1+deb12u1]" {
		t.Errorf("purge: %q", all)
	}
}

func TestStepsForms(t *testing.T) {
	for in, want := range map[string]string{
		"Inst libc6:i386 [2.36-9] (2.36-10 Debian:12/stable [i386])":                "Inst libc6 [2.36-9] (2.36-10 [i386])",
		"Conf hello (2.10-3  [amd64]) []":                                           "Conf hello (2.10-3 [amd64])",
		"Inst a [1] (2 A:1/x, B:2/y [all]) [b:amd64 on a:amd64] [b:amd64 c:amd64 ]": "Inst a [1] (2 [all])",
		"Remv a [1] [b:amd64 ]":                                                     "Remv a [1]",
		"Inst a (2 A (x) [all])":                                                    "Inst a (2 A (x) [all])",
		"Purg a [1]":                                                                "Purg a [1]",
		"Installing is not a step":                                                  "",
		"The following NEW packages will be installed:":                             "",
	} {
		if got := strings.Join(steps([]byte(in+"\n")), "|"); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
