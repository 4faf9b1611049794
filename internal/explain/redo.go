package explain

import (
	"bytes"
	"context"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

// Redo does a host's reconciliation again, from its encoded Input, the facts that this names and the file trees, and gives
// what Reconcile recorded when these were the facts. It needs no server; every fact is checked against its digest, and the
// trees are compared again, so that the changes an Input lists are all there were. objects holds what of the trees that
// takes, which is far less than the trees. Errors: a fact that is missing, altered or malformed, or an Input that the trees
// do not give (Invalid).
func Redo(ctx context.Context, input []byte, objects filetree.Objects, facts Facts) (*Report, error) {
	in, err := DecodeInput(input)
	if err != nil {
		return nil, err
	}
	in.Changes, in.Known = nil, nil
	again, report, err := Reconcile(ctx, in, objects, facts)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, input) {
		return nil, fault.New(fault.Invalid, "reconciliation input of order %s on host %s: the file trees do not give it", in.Order, in.Host)
	}
	return report, nil
}
