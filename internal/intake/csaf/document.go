// Package csaf reads advisories and VEX documents in the Common Security Advisory Framework (CSAF) 2.0, of any publisher and
// of Red Hat in particular. A document is read as JSON with the fields below; the rest of it is left out.
package csaf

import (
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// MaxDocument bounds one document, in bytes. Red Hat's largest of 2024, about the kernel, had over 4 MB.
const MaxDocument = 64 << 20

// document holds the fields we use. Source of the format: CSAF 2.0, section 3.
type document struct {
	Document struct {
		Category  string `json:"category"`
		Version   string `json:"csaf_version"`
		Title     string `json:"title"`
		Publisher struct {
			Name string `json:"name"`
		} `json:"publisher"`
		Tracking struct {
			ID      string    `json:"id"`
			Revised time.Time `json:"current_release_date"`
			Status  string    `json:"status"`
		} `json:"tracking"`
		Severity struct {
			Text string `json:"text"`
		} `json:"aggregate_severity"`
	} `json:"document"`
	Tree struct {
		Branches      []branch       `json:"branches"`
		Products      []product      `json:"full_product_names"`
		Relationships []relationship `json:"relationships"`
	} `json:"product_tree"`
	Vulnerabilities []vulnerability `json:"vulnerabilities"`
}

type branch struct {
	Category string   `json:"category"`
	Name     string   `json:"name"`
	Product  *product `json:"product"`
	Branches []branch `json:"branches"`
}

type product struct {
	ID     string `json:"product_id"`
	Name   string `json:"name"`
	Helper struct {
		CPE  string `json:"cpe"`
		PURL string `json:"purl"`
	} `json:"product_identification_helper"`
	version string // of the branch of category product_version above or at the product
}

type relationship struct {
	Full      product `json:"full_product_name"`
	Component string  `json:"product_reference"`
	Platform  string  `json:"relates_to_product_reference"`
}

type vulnerability struct {
	CVE   string `json:"cve"`
	Title string `json:"title"`
	IDs   []struct {
		Text string `json:"text"`
	} `json:"ids"`
	Status       map[string][]string `json:"product_status"`
	Flags        []labelled          `json:"flags"`
	Threats      []labelled          `json:"threats"`
	Remediations []labelled          `json:"remediations"`
	Scores       []struct {
		V3 struct {
			Vector string `json:"vectorString"`
		} `json:"cvss_v3"`
		V4 struct {
			Vector string `json:"vectorString"`
		} `json:"cvss_v4"`
		Products []string `json:"products"`
	} `json:"scores"`
}

// labelled is something said about products: a flag, a threat or a remediation.
type labelled struct {
	Label    string   `json:"label"`
	Category string   `json:"category"`
	Details  string   `json:"details"`
	URL      string   `json:"url"`
	Products []string `json:"product_ids"`
}

// name of a vulnerability or an advisory, as it stands in our tables and addresses.
var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:._-]{1,63}$`)

func decode(r io.Reader) (document, error) {
	var d document
	in := json.NewDecoder(io.LimitReader(r, MaxDocument+1))
	if err := in.Decode(&d); err != nil {
		return d, fault.New(fault.Invalid, "CSAF: the document is not CSAF's JSON, or is truncated, near byte %d: %w", in.InputOffset(), err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return d, fault.New(fault.Invalid, "CSAF: something follows the document at byte %d", in.InputOffset())
	}
	if !strings.HasPrefix(d.Document.Version, "2.") || !name.MatchString(strings.ReplaceAll(d.Document.Tracking.ID, " ", "-")) {
		return d, fault.New(fault.Invalid, "CSAF: the document names no csaf_version 2 and tracking ID")
	}
	if d.Document.Tracking.Revised.IsZero() {
		return d, fault.New(fault.Invalid, "CSAF: the document says not when it was revised (tracking/current_release_date)")
	}
	return d, nil
}

// products gives the products of the tree by ID.
func (d document) products() map[string]product {
	all := make(map[string]product, len(d.Tree.Products)+len(d.Tree.Relationships))
	for _, p := range d.Tree.Products {
		all[p.ID] = p
	}
	collect(d.Tree.Branches, "", all)
	for _, r := range d.Tree.Relationships {
		if _, known := all[r.Full.ID]; !known {
			all[r.Full.ID] = r.Full
		}
	}
	return all
}

// collect walks through the branches; the JSON decoder bounds their depth.
func collect(branches []branch, version string, all map[string]product) {
	for _, b := range branches {
		version := version
		if b.Category == "product_version" {
			version = b.Name
		}
		if b.Product != nil {
			p := *b.Product
			p.version = version
			all[p.ID] = p
		}
		collect(b.Branches, version, all)
	}
}
