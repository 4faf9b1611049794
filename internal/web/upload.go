package web

import (
	"errors"
	"io"
	"mime/multipart"
	"net/url"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Bounds of what a form says beside its file. The longest text that a room takes is shorter, so that the room says what is too long.
const (
	maxFields = 8
	maxField  = 16 << 10 // bytes
)

var errBroken = fault.New(fault.Invalid, "the form is malformed, or the upload broke off; try again")

// upload reads a form up to its file, which it sends last and which the caller reads; nil where none was chosen.
func (v *visit) upload() (url.Values, *multipart.Part, error) {
	parts, err := v.r.MultipartReader()
	if err != nil {
		return nil, nil, errBroken
	}
	form := url.Values{}
	for range maxFields {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return form, nil, nil
		}
		if err != nil {
			return nil, nil, errBroken
		}
		if part.FileName() != "" {
			return form, part, nil
		}
		value, err := io.ReadAll(io.LimitReader(part, maxField+1))
		if err != nil {
			return nil, nil, errBroken
		}
		if len(value) > maxField {
			return nil, nil, fault.New(fault.Invalid, "a field of the form has more than %d bytes", maxField)
		}
		form.Add(part.FormName(), lines(string(value)))
	}
	return nil, nil, errBroken
}

// file is upload for a form that is nothing without its file.
func (v *visit) file() (url.Values, *multipart.Part, error) {
	form, file, err := v.upload()
	if err == nil && file == nil {
		err = fault.New(fault.Invalid, "choose a file to import")
	}
	return form, file, err
}

// whole reads a file to its end, or to a byte more than most.
func whole(file *multipart.Part, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, errBroken
	}
	return b, nil
}
