package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"time"

	version "github.com/knqyf263/go-deb-version"

	"github.com/patchwarrant/patchwarrant/bench/fleet"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// compareVersions measures comparing an installed version with a fixed one, and checks that all agree.
func compareVersions(w *fleet.World) ([]ratio, error) {
	random := rand.New(rand.NewPCG(3, 3))
	var pairs [][2]string
	for _, s := range w.Statements {
		if versions := w.History[s.Package]; s.Status == intake.Fixed && len(versions) > 0 {
			pairs = append(pairs, [2]string{versions[random.IntN(len(versions))], s.FixedVersion})
		}
	}
	fmt.Printf("\ncompare a version with a fixed one (%d pairs of real use)\n", len(pairs))

	keys := make([][2][]byte, len(pairs))
	for i, p := range pairs {
		for j := range p {
			key, err := deb.Key(p[j])
			if err != nil {
				return nil, err
			}
			keys[i][j] = key
		}
	}
	sink := 0
	byKey := perOperation(len(pairs), func(i int) { sink += bytes.Compare(keys[i][0], keys[i][1]) })
	makeKey := perOperation(len(pairs), func(i int) {
		key, _ := deb.Key(pairs[i][0])
		sink += len(key)
	})
	compare := perOperation(len(pairs), func(i int) { sink += deb.Compare(pairs[i][0], pairs[i][1]) })
	var broken error
	library := perOperation(len(pairs), func(i int) {
		a, errA := version.NewVersion(pairs[i][0])
		b, errB := version.NewVersion(pairs[i][1])
		broken = errors.Join(errA, errB, broken)
		if (a.Compare(b) < 0) != (deb.Compare(pairs[i][0], pairs[i][1]) < 0) {
			broken = errors.Join(broken, fmt.Errorf("go-deb-version and we disagree about %s and %s", pairs[i][0], pairs[i][1]))
		}
	}) - compare // the check's own share
	if broken != nil {
		return nil, broken
	}
	fmt.Printf("  %-58s %12.0f ns\n  %-58s %12.0f ns\n  %-58s %12.0f ns\n  %-58s %12.0f ns\n",
		"our keys, made before", byKey, "making one of our keys", makeKey, "our Compare, from the text", compare, "go-deb-version, parse both and compare", library)
	ratios := []ratio{{"go-deb-version / our Compare, CPU per comparison", library / compare}, {"go-deb-version / our keys, CPU per comparison", library / byKey}}
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		fmt.Println("  dpkg is not here")
		return ratios, nil
	}
	const asked = 200
	var total time.Duration
	for i := range asked {
		p := pairs[i*len(pairs)/asked]
		command := exec.Command(dpkg, "--compare-versions", p[0], "lt", p[1])
		err := command.Run()
		if _, answered := errors.AsType[*exec.ExitError](err); err != nil && !answered {
			return nil, err
		}
		if (err == nil) != (deb.Compare(p[0], p[1]) < 0) {
			return nil, fmt.Errorf("dpkg and we disagree about %s and %s", p[0], p[1])
		}
		total += costOf(command.ProcessState).cpu
	}
	fmt.Printf("  %-58s %12.0f ns   (a process each: says what a script pays, not libdpkg)\n", "dpkg --compare-versions", float64(total.Nanoseconds())/asked)
	return append(ratios, ratio{"dpkg --compare-versions (a process) / our Compare", float64(total.Nanoseconds()) / asked / compare}), nil
}

// perOperation gives the nanoseconds of wall time that do takes, the best of three rounds of about a third of a second.
func perOperation(n int, do func(i int)) float64 {
	best := 0.0
	for range 3 {
		done, begin := 0, time.Now()
		for time.Since(begin) < 300*time.Millisecond {
			for i := range n {
				do(i)
			}
			done += n
		}
		if ns := float64(time.Since(begin).Nanoseconds()) / float64(done); best == 0 || ns < best {
			best = ns
		}
	}
	return best
}
