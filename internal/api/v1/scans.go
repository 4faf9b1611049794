package v1

import "github.com/patchwarrant/patchwarrant/internal/scans"

// ScanReports are the imported reports of scanners, newest first, and each scanner's clock.
type ScanReports struct {
	Scanners []scans.Clock  `json:"scanners"`
	Reports  []scans.Report `json:"reports"`
}

// ScanReport is one report with the hosts in it.
type ScanReport struct {
	scans.Report
	Scanned []scans.ScannedHost `json:"scanned"`
}

// ImportedReport is what came of importing a report.
type ImportedReport struct {
	scans.Report
	Unchanged bool `json:"unchanged"` // the same bytes as before
}

// ScannersSay is what scanners say about one vulnerability in their newest reports: counts over all hosts, and some findings.
type ScannersSay struct {
	Counts   []scans.SaidBy `json:"counts"`
	Findings []scans.Said   `json:"findings"`
}

// HostScans are the newest reports about one host.
type HostScans struct {
	Scans []scans.ScannedHost `json:"scans"`
}
