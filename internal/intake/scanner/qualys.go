package scanner

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// qualys reads the CSV report of VMDR: some lines about the report, the header with QID, one line per detection.
func qualys(in *input, host string) error {
	c := csv.NewReader(in.r)
	c.FieldsPerRecord, c.LazyQuotes, c.ReuseRecord = -1, true, true
	var columns map[string]int
	for line := 0; ; line++ {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch {
		case columns == nil && slices.Contains(fields, "QID"):
			columns = make(map[string]int, len(fields))
			for i, name := range fields {
				columns[strings.Clone(strings.TrimPrefix(name, "\ufeff"))] = i
			}
			in.budget.used = 0
		case columns == nil:
			if line == 0 && len(fields) > 1 {
				in.report.TakenAt = moment(fields[1])
			}
			if line > 50 {
				return fault.New(fault.Invalid, "qualys: no header with QID in the first lines")
			}
		case len(fields) < 2: // lines after the table
			in.refuse(badRecord)
		default:
			if err := qualysRow(in, host, func(names ...string) string { return field(fields, columns, names) }); err != nil {
				return err
			}
		}
	}
	if columns == nil {
		return fault.New(fault.Invalid, "qualys: no header with QID")
	}
	return nil
}

// field gives the first of the columns that has something in it. A leading apostrophe keeps spreadsheets from calculating.
func field(fields []string, columns map[string]int, names []string) string {
	for _, name := range names {
		if i, ok := columns[name]; ok && i < len(fields) {
			if s := strings.TrimPrefix(strings.TrimSpace(fields[i]), "'"); s != "" && s != "-" {
				return strings.Clone(s)
			}
		}
	}
	return ""
}

func qualysRow(in *input, host string, get func(...string) string) error {
	if strings.EqualFold(get("Disabled"), "yes") || strings.EqualFold(get("Ignored"), "yes") {
		in.refuse(disabled)
		return nil
	}
	addresses := strings.FieldsFunc(get("Asset IPV4", "IP")+","+get("Asset IPV6"), func(r rune) bool { return r == ',' || r == ' ' })
	h := Host{Name: get("Asset Name", "DNS", "NetBIOS"), Addresses: addresses, CPE: get("Operating System", "OS")}
	if h.Name == "" && len(addresses) > 0 {
		h.Name = addresses[0]
	}
	if host != "" {
		h.Name = host
	}
	h.Names, h.TakenAt = []string{h.Name}, moment(get("Last Detected"))
	r := Row{Host: h.Name, CVEs: strings.FieldsFunc(get("CVE", "CVE ID"), func(r rune) bool { return r == ',' || r == ' ' }), Title: get("Title"),
		Severity: get("CVSS Rating Labels", "Severity"), Claim: Affected, Banner: strings.EqualFold(get("Type Detected", "Type"), "potential")}
	if qid := get("QID"); qid != "" {
		r.Plugin = "qualys-" + qid
	}
	if strings.EqualFold(get("Status", "Vuln Status"), "fixed") {
		r.Claim = Fixed
	}
	h.Credentialed = !r.Banner
	if err := in.host(h); err != nil {
		return err
	}
	if in.report.TakenAt.Equal(time.Time{}) && h.TakenAt.After(in.report.TakenAt) {
		in.report.TakenAt = h.TakenAt
	}
	return in.row(r)
}
