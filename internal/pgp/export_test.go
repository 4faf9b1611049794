package pgp

import (
	"bytes"
	"io"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
)

// joinSignatures gives the first document with the signatures of both in one block.
func joinSignatures(t *testing.T, first, second []byte) []byte {
	t.Helper()
	signature, err := armoured(openpgp.SignatureType, func(w io.Writer) error {
		for _, document := range [][]byte{first, second} {
			block, _ := clearsign.Decode(document)
			if _, err := io.Copy(w, block.ArmoredSignature.Body); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(first, []byte("-----BEGIN PGP SIGNATURE-----"))
	return append(bytes.Clone(first[:at]), signature...)
}
