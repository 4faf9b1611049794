package deb

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// maxWindow bounds the memory of a zstd decoder, in bytes; xz has its own bound of 64 MiB.
const maxWindow = 128 << 20

// Decoders are reused: setting up one for xz costs more than decoding most packages.
var (
	gzipDecoders = sync.Pool{New: func() any { return new(gzip.Reader) }}
	xzDecoders   sync.Pool
	zstdDecoders sync.Pool
)

// Unpack gives use the plain bytes of r, compressed as the extension says: "", ".gz", ".xz" or ".zst". The plain reader is
// valid during use only; the caller bounds how much it takes. Damage is an error of kind fault.Invalid.
func Unpack(ext string, r io.Reader, use func(plain io.Reader) error) error {
	switch ext {
	case "":
		return use(r)
	case ".gz":
		d := gzipDecoders.Get().(*gzip.Reader)
		defer gzipDecoders.Put(d)
		if err := d.Reset(r); err != nil {
			return fault.New(fault.Invalid, "no gzip data: %w", err)
		}
		return use(damage{d})
	case ".xz":
		return unpackXZ(r, use)
	case ".zst":
		return unpackZstd(r, use)
	default:
		return fault.New(fault.Invalid, "compression %.10q is none of .gz, .xz, .zst", ext)
	}
}

func unpackXZ(r io.Reader, use func(io.Reader) error) error {
	d, ok := xzDecoders.Get().(*xz.Reader)
	if !ok {
		var err error
		if d, err = xz.NewReader(nil, xz.DefaultDictMax); err != nil {
			return fmt.Errorf("make xz decoder: %w", err)
		}
	}
	if err := d.Reset(r); err != nil {
		return fault.New(fault.Invalid, "no xz data: %w", err)
	}
	err := use(damage{d})
	if err == nil || errors.Is(err, errEnough) { // a decoder that met damage is not used again
		xzDecoders.Put(d)
	}
	return err
}

func unpackZstd(r io.Reader, use func(io.Reader) error) error {
	d, ok := zstdDecoders.Get().(*zstd.Decoder)
	if !ok {
		var err error
		if d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow)); err != nil {
			return fmt.Errorf("make zstd decoder: %w", err)
		}
	}
	defer zstdDecoders.Put(d)
	if err := d.Reset(r); err != nil {
		return fault.New(fault.Invalid, "no zstd data: %w", err)
	}
	return use(damage{d})
}

// damage gives a decoder's errors their kind.
type damage struct{ decoder io.Reader }

func (d damage) Read(p []byte) (int, error) {
	n, err := d.decoder.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fault.New(fault.Invalid, "damaged compressed data: %w", err)
	}
	return n, err
}
