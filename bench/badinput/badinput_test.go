package badinput_test

import (
	"io"
	"maps"
	"os"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/bench/badinput"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/csaf"
	"github.com/patchwarrant/patchwarrant/internal/intake/cve5"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/intake/epss"
	"github.com/patchwarrant/patchwarrant/internal/intake/feed"
	"github.com/patchwarrant/patchwarrant/internal/intake/kev"
	"github.com/patchwarrant/patchwarrant/internal/intake/mail"
	"github.com/patchwarrant/patchwarrant/internal/intake/nvd"
	"github.com/patchwarrant/patchwarrant/internal/intake/openvex"
	"github.com/patchwarrant/patchwarrant/internal/intake/osv"
	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
	"github.com/patchwarrant/patchwarrant/internal/intake/ubuntu"
	"github.com/patchwarrant/patchwarrant/internal/unpack"
)

// maxHeap is how much memory a parser may hold for a file of badinput.Size, in bytes.
const maxHeap = 12 * badinput.Size

func document(name string, parse intake.DocumentParser) intake.Parser {
	return func(r io.Reader) (intake.Reading, error) { return parse(name, r) }
}

// parsers of sources, by kind; those of scanners' reports come from scanner.Formats.
var parsers = map[string]intake.Parser{
	"debian-tracker": debian.Tracker(), "debian-archive": debian.ParseArchive, "debian-cves": debian.Issues(), "debian-advisories": debian.Advisories(),
	"distro-info": document("debian.csv", debian.Support), "debian-security-support": document("security-support-ended.deb12", debian.Support),
	"redhat": document("a.json", csaf.RedHat()), "csaf": document("a.json", csaf.Parse()),
	"osv": document("a.json", osv.Parse()), "ubuntu-notices": document("a.json", ubuntu.Notices()), "ubuntu-oval": ubuntu.OVAL(), "kev": kev.Parse, "epss": epss.Parse,
	"nvd": document("a.json", nvd.Parse()), "cve5": document("CVE-2026-1.json", cve5.Parse()), "feed": feed.Parse, "mbox": mail.Mbox(mail.Keys{}),
	"maildir": document("cur/1.a:2,S", mail.Message(mail.Keys{})), "scanner": report(""), "openvex": document("a.json", openvex.Parse()), "components": components,
	"archive": func(r io.Reader) (intake.Reading, error) {
		f, err := os.CreateTemp("", "badinput-")
		if err != nil {
			return intake.Reading{}, err
		}
		defer os.Remove(f.Name())
		defer f.Close()
		size, err := io.Copy(f, r)
		if err != nil {
			return intake.Reading{}, err
		}
		limits := unpack.Limits{Files: 100, File: badinput.Size, Total: badinput.Size}
		return intake.Reading{}, unpack.Walk(f, size, limits, func(one unpack.File) error {
			_, err := osv.Parse()(one.Path, one.Body)
			return err
		})
	},
}

// components reads a component list for its components.
func components(r io.Reader) (intake.Reading, error) {
	return intake.Reading{}, scanner.Components(r, func(scanner.Component) error { return nil })
}

// report is a scanner's report of a format, or of the one that its content tells.
func report(format string) intake.Parser {
	return func(r io.Reader) (intake.Reading, error) {
		said, err := scanner.Read(r, format, "", nothing{})
		if err == nil && said.Accepted == 0 {
			err = fault.New(fault.Invalid, "says nothing") // as the import of reports has it
		}
		return intake.Reading{}, err
	}
}

// nothing takes what a report says.
type nothing struct{}

func (nothing) Host(scanner.Host) error { return nil }
func (nothing) Row(scanner.Row) error   { return nil }

// TestNoParserTripsOverBadInput: each bad file is refused by each parser, with a reason and in bounded memory.
func TestNoParserTripsOverBadInput(t *testing.T) {
	files, all := badinput.Files(), maps.Clone(parsers)
	for _, format := range scanner.Formats() {
		all[format] = report(format)
	}
	for kind, parse := range all {
		t.Run(kind, func(t *testing.T) {
			for _, f := range files {
				peak := watch()
				r, err := parse(f.Open())
				if heap := peak(); heap > maxHeap {
					t.Errorf("%s: %d MiB in use", f.Name, heap>>20)
				}
				if fault.KindOf(err) != fault.Invalid || len(err.Error()) > 2000 {
					t.Errorf("%s: %d statements, %d signals, %v", f.Name, len(r.Statements), len(r.Signals), err)
				}
			}
		})
	}
}

// watch looks at the live heap until the function it gives is called, which gives the most that was seen.
func watch() func() uint64 {
	runtime.GC() // what others left is not this one's
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	done, most := make(chan struct{}), make(chan uint64)
	go func() {
		peak := uint64(0)
		for tick := time.NewTicker(time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				most <- peak
				return
			case <-tick.C:
				metrics.Read(sample)
				peak = max(peak, sample[0].Value.Uint64())
			}
		}
	}()
	return func() uint64 { close(done); return <-most }
}
