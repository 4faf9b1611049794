package publisher

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// metadata is a provider-metadata.json. The keys it names are not looked at: keys are pinned by people. Source: CSAF 2.0, 7.1.
type metadata struct {
	Distributions []struct {
		Directory string `json:"directory_url"`
		ROLIE     struct {
			Feeds []struct {
				URL string `json:"url"`
			} `json:"feeds"`
		} `json:"rolie"`
	} `json:"distributions"`
}

// feed is a ROLIE feed. Source: CSAF 2.0, 7.1.15, and RFC 8322.
type feed struct {
	Feed *struct {
		Entry []struct {
			Updated time.Time `json:"updated"`
			Link    []struct {
				Rel  string `json:"rel"`
				Href string `json:"href"`
			} `json:"link"`
			Content struct {
				Src string `json:"src"`
			} `json:"content"`
		} `json:"entry"`
	} `json:"feed"`
}

// Provider brings what changed at a CSAF provider since the documents known. Its address is its provider-metadata.json, one
// ROLIE feed (….json), or a directory with changes.csv (…/). Documents that are no longer listed are gone.
func (s Site) Provider(ctx context.Context, known []intake.Document) (intake.Delivery, error) {
	places := []string{s.URL}
	if path.Base(s.URL) == "provider-metadata.json" {
		var err error
		if places, err = s.places(ctx); err != nil {
			return intake.Delivery{}, err
		}
	}
	var all []listed
	seen := map[string]bool{}
	for _, place := range places {
		list := s.feed
		if strings.HasSuffix(place, "/") {
			list = s.directory
		}
		found, err := list(ctx, place)
		if err != nil {
			return intake.Delivery{}, err
		}
		for _, l := range found {
			if !seen[l.path] {
				seen[l.path] = true
				all = append(all, l)
			}
		}
	}
	d := s.bring(ctx, s.URL, all, byPath(known))
	for _, k := range known {
		if !seen[k.Path] {
			d.Gone = append(d.Gone, k.Path)
		}
	}
	return d, nil
}

// places gives the feeds and, where there is none, the directories that the metadata names.
func (s Site) places(ctx context.Context) (feeds []string, err error) {
	b, err := s.get(ctx, s.URL, s.URL, maxList)
	if err != nil {
		return nil, err
	}
	var m metadata
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fault.New(fault.Invalid, "provider-metadata.json is damaged: %w", err)
	}
	var directories []string
	for _, d := range m.Distributions {
		for _, f := range d.ROLIE.Feeds {
			feeds = append(feeds, f.URL)
		}
		if d.Directory != "" {
			directories = append(directories, strings.TrimSuffix(d.Directory, "/")+"/")
		}
	}
	if len(feeds) == 0 {
		feeds = directories
	}
	if len(feeds) == 0 {
		return nil, fault.New(fault.Invalid, "provider-metadata.json names no feed and no directory")
	}
	return feeds, nil
}

func (s Site) directory(ctx context.Context, place string) ([]listed, error) {
	b, err := s.get(ctx, place, "changes.csv", maxList)
	if err != nil {
		return nil, err
	}
	all, err := readCSV(b)
	for i, l := range all {
		u, err := s.resolve(place, l.address)
		if err != nil {
			return nil, err
		}
		all[i].address = u.String()
	}
	return all, err
}

func (s Site) feed(ctx context.Context, place string) ([]listed, error) {
	b, err := s.get(ctx, place, place, maxList)
	if err != nil {
		return nil, err
	}
	var f feed
	if err := json.Unmarshal(b, &f); err != nil || f.Feed == nil {
		return nil, fault.New(fault.Invalid, "the feed %s is no ROLIE feed: %w", path.Base(place), err)
	}
	var all []listed
	for _, e := range f.Feed.Entry {
		address := e.Content.Src
		for _, link := range e.Link {
			if link.Rel == "self" {
				address = link.Href
			}
		}
		u, err := s.resolve(place, address)
		if err != nil {
			return nil, fmt.Errorf("feed %s: %w", path.Base(place), err)
		}
		at, err := s.resolve(place, ".")
		if err != nil {
			return nil, err
		}
		name, below := strings.CutPrefix(u.Path, at.Path)
		if !below {
			name = strings.TrimPrefix(u.Path, "/")
		}
		all = append(all, listed{path: name, address: u.String(), at: e.Updated})
	}
	return all, nil
}
