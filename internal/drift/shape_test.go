package drift

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/quick"

	"github.com/patchwarrant/patchwarrant/internal/pkgset"
)

func TestShapesCountAsPackagesDoes(t *testing.T) {
	var draw drawing
	random := func(r *rand.Rand) (s pkgset.Set) {
		for range r.IntN(120) {
			s = append(s, pkgset.Package{Name: strconv.Itoa(r.IntN(200)), Arch: "amd64", Version: strconv.Itoa(r.IntN(3))})
		}
		return s
	}
	agrees := func(seed uint64) bool {
		r := rand.New(rand.NewPCG(seed, 0))
		a, b := random(r), random(r)
		same, all, _ := Packages(a, b)
		return draw.of(a).against(draw.of(b)) == figure{same, all}
	}
	if err := quick.Check(agrees, &quick.Config{MaxCount: 500}); err != nil {
		t.Error(err)
	}
}

func TestTheFleetFollowsStage(t *testing.T) {
	e := world()
	d := New(e)
	if kinds, err := d.Fleet(t.Context()); err != nil || len(kinds) != 2 || kinds[1].Percent != 75 {
		t.Fatal(kinds, err)
	}
	e.digest["s1"], e.at = "prod", 2
	if kinds, err := d.Fleet(t.Context()); err != nil || len(kinds) != 2 || kinds[1].Percent != 100 {
		t.Error(kinds, err)
	}
	e.env["s1"], e.at = "production", 3
	if kinds, err := d.Fleet(t.Context()); err != nil || len(kinds) != 2 || kinds[0].Percent != 0 || kinds[0].Hosts != 5 {
		t.Error(kinds, err)
	}
}
