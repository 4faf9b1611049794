package scanner_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
)

// lists holds component lists as their makers write the source package and the module.
var lists = map[string]struct {
	text string
	want []scanner.Component
}{
	"Syft, CycloneDX": {`{"bomFormat":"CycloneDX","components":[
{"type":"library","name":"libssl3","version":"3.0.9-1","purl":"pkg:deb/debian/libssl3@3.0.9-1?arch=amd64&distro=debian-12&upstream=openssl%403.0.9-0","components":[
{"type":"library","name":"bash","version":"5.2-1","purl":"pkg:deb/debian/bash@5.2-1?arch=amd64&distro=debian-12"}]},
{"type":"library","name":"nodejs","version":"1:20.1-2.module+el9","purl":"pkg:rpm/redhat/nodejs@20.1-2.module%2Bel9?arch=x86_64&distro=rhel-9.2&epoch=1&upstream=nodejs-20.1-2.module%2Bel9.src.rpm",
"properties":[{"name":"syft:metadata:modularityLabel","value":"nodejs:20:9020:abc"}]},
{"type":"library","name":"left-pad","version":"1.3.0","purl":"pkg:npm/left-pad@1.3.0"},{"type":"operating-system","name":"debian","version":"12"},{"name":"plain"}]}`, []scanner.Component{
		{Kind: "deb", Distro: "debian-12", Name: "libssl3", Arch: "amd64", Version: "3.0.9-1", Source: "openssl", SourceVersion: "3.0.9-0"},
		{Kind: "deb", Distro: "debian-12", Name: "bash", Arch: "amd64", Version: "5.2-1"},
		{Kind: "rpm", Distro: "rhel-9.2", Name: "nodejs", Arch: "x86_64", Version: "1:20.1-2.module+el9", Source: "nodejs", SourceVersion: "20.1-2.module+el9", Module: "nodejs:20:9020:abc"},
		{Kind: "npm", Name: "left-pad", Version: "1.3.0"}, {Name: "debian", Version: "12", File: true}, {Name: "plain"}}},
	"Trivy, CycloneDX as XML": {`<bom xmlns="http://cyclonedx.org/schema/bom/1.5"><components><component bom-ref="a" type="library"><name>passwd</name><version>1:4.13-1</version>
<purl>pkg:deb/debian/passwd@1:4.13-1?arch=amd64&amp;distro=debian-12.4</purl><properties><property name="aquasecurity:trivy:SrcName">shadow</property>
<property name="aquasecurity:trivy:SrcVersion">4.13</property><property name="aquasecurity:trivy:SrcRelease">1</property><property name="aquasecurity:trivy:SrcEpoch">1</property></properties>
</component></components></bom>`, []scanner.Component{{Kind: "deb", Distro: "debian-12.4", Name: "passwd", Arch: "amd64", Version: "1:4.13-1", Source: "shadow", SourceVersion: "1:4.13-1"}}},
	"Trivy, SPDX": {`{"spdxVersion":"SPDX-2.3","name":"x","packages":[{"name":"openssl-libs","versionInfo":"3.0.7-24.el9","primaryPackagePurpose":"LIBRARY",
"sourceInfo":"built package from: openssl 1:3.0.7-24.el9","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:rpm/redhat/openssl-libs@3.0.7-24.el9?arch=x86_64&distro=redhat-9.2&epoch=1"}]},
{"name":"redhat","primaryPackagePurpose":"OPERATING_SYSTEM"}]}`, []scanner.Component{
		{Kind: "rpm", Distro: "redhat-9.2", Name: "openssl-libs", Arch: "x86_64", Version: "1:3.0.7-24.el9", Source: "openssl", SourceVersion: "3.0.7-24.el9"}, {Name: "redhat", File: true}}},
	"SPDX as tags": {"SPDXVersion: SPDX-2.3\nPackageName: libssl3\nPackageVersion: 3.0.9-1\nPackageSourceInfo: built package from: openssl 3.0.9-1\n" +
		"ExternalRef: PACKAGE-MANAGER purl pkg:deb/debian/libssl3@3.0.9-1?distro=debian-12\n", []scanner.Component{
		{Kind: "deb", Distro: "debian-12", Name: "libssl3", Version: "3.0.9-1", Source: "openssl", SourceVersion: "3.0.9-1"}}},
}

func TestComponents(t *testing.T) {
	for name, c := range lists {
		t.Run(name, func(t *testing.T) {
			var got []scanner.Component
			err := scanner.Components(strings.NewReader(c.text), func(c scanner.Component) error {
				got = append(got, c)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if err := scanner.Components(strings.NewReader(c.text[:len(c.text)-3]), func(scanner.Component) error { return nil }); fault.KindOf(err) != fault.Invalid && name != "SPDX as tags" {
				t.Errorf("cut: %v", err)
			}
			full := errors.New("full")
			if err := scanner.Components(strings.NewReader(c.text), func(scanner.Component) error { return full }); !errors.Is(err, full) || fault.KindOf(err) != fault.Internal {
				t.Errorf("what fails while taking: %v", err)
			}
		})
	}
	for _, text := range []string{"", `{"SchemaVersion":2,"ArtifactName":"x","Results":[]}`, "<report/>"} {
		if err := scanner.Components(strings.NewReader(text), func(scanner.Component) error { return nil }); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func FuzzComponents(f *testing.F) {
	for _, c := range lists {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := scanner.Components(strings.NewReader(string(b)), func(c scanner.Component) error {
			if c.Kind == "" && (c.Source != "" || c.Distro != "") {
				t.Errorf("%+v", c)
			}
			return nil
		})
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
	})
}
