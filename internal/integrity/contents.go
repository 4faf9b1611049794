package integrity

import (
	"context"
	"fmt"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// contentsOf gives the digests of the content lists of the packages that actions bring, in order.
func (i *Integrity) contentsOf(ctx context.Context, actions []warrant.Action) ([]string, error) {
	all := []string{}
	for _, a := range actions {
		if a.Do == "remove" {
			continue
		}
		digest, err := i.contents(ctx, a.SHA256)
		if err != nil {
			return nil, fmt.Errorf("contents of %s %s: %w", a.Name, a.To, err)
		}
		all = append(all, digest)
	}
	return all, nil
}

// originsOf gives the digests of the content lists of the packages that copies are of, each once.
func (i *Integrity) originsOf(ctx context.Context, copies []warrant.Copy) (all []string, err error) {
	known := map[string]bool{}
	for _, c := range copies {
		if known[c.Deb] {
			continue
		}
		known[c.Deb] = true
		digest, err := i.contents(ctx, c.Deb)
		if err != nil {
			return nil, fmt.Errorf("contents of %s %s: %w", c.Package, c.Version, err)
		}
		all = append(all, digest)
	}
	return all, nil
}

// Contents gives the content list of a package whose bytes are here, by their digest.
func (i *Integrity) Contents(ctx context.Context, pkg string) (c explain.Contents, err error) {
	digest, err := i.contents(ctx, pkg)
	if err != nil {
		return c, err
	}
	return c, i.fetch(ctx, digest, &c)
}

// contents gives the digest of a package's content list, which is made once.
func (i *Integrity) contents(ctx context.Context, pkg string) (digest string, err error) {
	err = i.DB.Read(ctx, func(tx *db.Tx) error {
		digest, err = one(ctx, tx, selectContents, pkg)
		return err
	})
	if err != nil || digest != "" {
		return digest, err
	}
	r, err := i.Blobs.Open(ctx, pkg)
	if err != nil {
		return "", err
	}
	defer r.Close()
	p, err := deb.Read(r)
	if err != nil {
		return "", err
	}
	c := explain.ContentsOf(p)
	if digest, err = i.keep(ctx, &c); err != nil {
		return "", err
	}
	return digest, i.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, insertContents, pkg, digest)
		return err
	})
}
