package web

import (
	"errors"
	"io"
	"mime/multipart"
	"net/url"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Bounds of what a form says beside its file.
const (
	maxFields = 8
	maxField  = 1000 // bytes
)

// upload reads a form up to its file, which it sends last under the name content and which the caller reads.
func (v *visit) upload() (url.Values, *multipart.Part, error) {
	broken := fault.New(fault.Invalid, "the upload broke off; try again")
	none := fault.New(fault.Invalid, "choose a file to import")
	parts, err := v.r.MultipartReader()
	if err != nil {
		return nil, nil, none
	}
	form := url.Values{}
	for range maxFields {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, nil, none
		}
		if err != nil {
			return nil, nil, broken
		}
		if part.FormName() == "content" && part.FileName() != "" {
			return form, part, nil
		}
		value, err := io.ReadAll(io.LimitReader(part, maxField+1))
		if err != nil {
			return nil, nil, broken
		}
		if len(value) > maxField {
			return nil, nil, fault.New(fault.Invalid, "a field of the form has more than %d bytes", maxField)
		}
		form.Add(part.FormName(), string(value))
	}
	return nil, nil, none
}
