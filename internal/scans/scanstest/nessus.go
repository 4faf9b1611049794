// Package scanstest makes reports for tests: a scanner's file with as many findings over as many vulnerabilities and hosts
// as a test wants to see counted.
package scanstest

import (
	"encoding/xml"
	"fmt"
	"strings"
	"time"
)

// Flaw is a vulnerability that a report is about.
type Flaw struct {
	CVE, Package, Installed, Fixed string // Package as installed on hosts
}

// Flaws gives so many distinct vulnerabilities of one package, CVE-2026-2001 and following.
func Flaws(n int, pkg, installed, fixed string) []Flaw {
	all := make([]Flaw, n)
	for i := range all {
		all[i] = Flaw{fmt.Sprintf("CVE-2026-%d", 2001+i), pkg, installed, fixed}
	}
	return all
}

type (
	document struct {
		XMLName xml.Name `xml:"NessusClientData_v2"`
		Hosts   []host   `xml:"Report>ReportHost"`
	}
	host struct {
		Name  string `xml:"name,attr"`
		Tags  []tag  `xml:"HostProperties>tag"`
		Items []item `xml:"ReportItem"`
	}
	tag struct {
		Name  string `xml:"name,attr"`
		Value string `xml:",chardata"`
	}
	item struct {
		Port     int    `xml:"port,attr"`
		Severity int    `xml:"severity,attr"`
		ID       int    `xml:"pluginID,attr"`
		Title    string `xml:"pluginName,attr"`
		CVE      string `xml:"cve"`
		Type     string `xml:"plugin_type"`
		Output   string `xml:"plugin_output"`
	}
)

// Nessus makes a Nessus v2 report with findings records, spread evenly over hosts and flaws: every flaw is found, no host has
// one twice. It was taken at a time, with a login on every host. More findings than hosts × flaws do not fit and panic.
func Nessus(findings int, hosts []string, flaws []Flaw, takenAt time.Time) []byte {
	if findings > len(hosts)*len(flaws) || findings < len(flaws) {
		panic(fmt.Sprintf("scanstest: %d findings of %d vulnerabilities do not fit on %d hosts", findings, len(flaws), len(hosts)))
	}
	d := document{Hosts: make([]host, len(hosts))}
	for i, name := range hosts {
		d.Hosts[i] = host{Name: fmt.Sprintf("192.0.2.%d", i+1), Tags: []tag{{"host-ip", fmt.Sprintf("192.0.2.%d", i+1)}, {"host-fqdn", name},
			{"Credentialed_Scan", "true"}, {"HOST_END_TIMESTAMP", fmt.Sprint(takenAt.Unix())}}}
	}
	for n := range findings {
		at, f := n/len(flaws)%len(hosts), flaws[n%len(flaws)]
		d.Hosts[at].Items = append(d.Hosts[at].Items, item{Severity: 3, ID: 200_000 + n%len(flaws), Title: "Debian : " + f.Package + " " + f.CVE,
			CVE: f.CVE, Type: "local", Output: strings.Join([]string{"", "Remote package installed : " + f.Package + "_" + f.Installed,
				"Should be                : " + f.Package + "_" + f.Fixed, ""}, "\n")})
	}
	b, err := xml.Marshal(d)
	if err != nil {
		panic("scanstest: " + err.Error()) // plain structs always encode
	}
	return append([]byte(xml.Header), b...)
}
