package wire

import "testing"

func TestAReleaseHasTheNameThatSourcesGiveIt(t *testing.T) {
	for want, i := range map[string]Inventory{
		"bookworm": {Distribution: "debian", Release: "bookworm", Version: "12"},
		"rocky-9":  {Distribution: "rocky", Version: "9.3"},
		"rhel-10":  {Distribution: "rhel", Version: "10"},
		"":         {Distribution: "arch"},
	} {
		if got := i.ReleaseName(); got != want {
			t.Errorf("%+v: %q, want %q", i, got, want)
		}
	}
}
