package vex

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gocsaf/csaf/v3/csaf"
	"github.com/openvex/go-vex/pkg/vex"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

type object = map[string]any

// CSAF writes the decisions as a CSAF 2.0 document of the VEX profile, checked against its schema. Where nothing was decided
// there is no such document: NotFound.
func CSAF(in Input) ([]byte, error) {
	if len(in.Decided) == 0 {
		return nil, fault.New(fault.NotFound, "no decision in force holds for the whole fleet, so there is nothing to write")
	}
	at := in.At.UTC().Format("2006-01-02T15:04:05Z")
	products, known := []any{}, map[string]bool{}
	vulnerabilities := []any{}
	for _, group := range byCVE(in.Decided) {
		v := object{"cve": group[0].cve(), "notes": []any{object{"category": "summary", "text": "Decisions of " + in.Author + ", each signed."}}}
		status, remediations, threats, labels := object{}, []any{}, []any{}, []any{}
		for _, d := range group {
			ids := d.Products()
			for _, p := range ids {
				if !known[p] {
					known[p] = true
					products = append(products, object{"category": "product_version", "name": p,
						"product": object{"name": p, "product_id": p, "product_identification_helper": object{"purl": p}}})
				}
			}
			word, action := d.status()
			switch word {
			case vex.StatusNotAffected:
				add(status, "known_not_affected", ids)
				threats = append(threats, object{"category": "impact", "details": d.Reason, "product_ids": ids})
				if d.Justification != "" { // OpenVEX's words are CSAF's labels (CSAF 2.0, 3.2.3.5)
					labels = append(labels, object{"label": d.Justification, "product_ids": ids})
				}
			case vex.StatusAffected:
				add(status, "known_affected", ids)
				category := "mitigation"
				if strings.HasPrefix(action, "Update to ") {
					category = "vendor_fix"
				}
				remediations = append(remediations, object{"category": category, "details": action, "product_ids": ids})
			default:
				add(status, "under_investigation", ids)
			}
		}
		v["product_status"] = status
		for name, list := range map[string][]any{"remediations": remediations, "threats": threats, "flags": labels} {
			if len(list) > 0 {
				v[name] = list
			}
		}
		vulnerabilities = append(vulnerabilities, v)
	}
	id := "patchwarrant-" + in.At.UTC().Format("20060102t150405z")
	b, err := json.MarshalIndent(object{
		"document": object{"category": "csaf_vex", "csaf_version": "2.0", "title": "Vulnerabilities as decided by " + in.Author,
			"publisher": object{"category": "user", "name": in.Author, "namespace": in.Namespace},
			"tracking": object{"id": id, "status": "final", "version": "1", "initial_release_date": at, "current_release_date": at,
				"revision_history": []any{object{"number": "1", "date": at, "summary": "written from the decisions in force"}},
				"generator":        object{"engine": object{"name": "Patchwarrant"}}}},
		"product_tree":    object{"branches": []any{object{"category": "vendor", "name": "distributions", "branches": products}}},
		"vulnerabilities": vulnerabilities,
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	return b, Check(b)
}

func add(status object, word string, ids []string) {
	all, _ := status[word].([]string)
	status[word] = append(all, ids...)
}

func (d Decided) cve() string {
	id, _, _ := strings.Cut(d.Vulnerability, "/")
	return id
}

// byCVE puts decisions about one CVE in several source packages together; they are sorted by it.
func byCVE(all []Decided) (groups [][]Decided) {
	for _, d := range all {
		if n := len(groups); n > 0 && groups[n-1][0].cve() == d.cve() {
			groups[n-1] = append(groups[n-1], d)
			continue
		}
		groups = append(groups, []Decided{d})
	}
	return groups
}

// Check holds a document against the schema of CSAF 2.0 and the mandatory tests.
func Check(document []byte) error {
	var parsed any
	if err := json.Unmarshal(document, &parsed); err != nil {
		return fault.New(fault.Invalid, "CSAF: no JSON: %w", err)
	}
	problems, err := csaf.ValidateCSAF(parsed)
	if err != nil {
		return fmt.Errorf("check CSAF: %w", err)
	}
	var advisory csaf.Advisory
	if err := json.Unmarshal(document, &advisory); err != nil {
		problems = append(problems, err.Error())
	} else if err := advisory.Validate(); err != nil {
		problems = append(problems, err.Error())
	}
	if len(problems) > 0 {
		return fault.New(fault.Invalid, "CSAF: %s", strings.Join(problems, "; "))
	}
	return nil
}
