//go:build pages

package world

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// largest a picture may be, in bytes: a README shows several.
const largest = 150_000

// TestPictures takes the pictures of docs/pictures.
func TestPictures(t *testing.T) {
	s, told := tell(t, "")
	node(t, map[string]shown{"plain": s.show(told)}, "pictures.mjs")
	files, err := filepath.Glob("../../../docs/pictures/*.png")
	s.ok(err)
	if len(files) == 0 {
		t.Fatal("there are no pictures")
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		s.ok(err)
		taken, err := png.Decode(bytes.NewReader(b))
		s.ok(err)
		var small bytes.Buffer
		s.ok((&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, inPalette(taken)))
		if small.Len() > largest {
			t.Errorf("%s has %d bytes, more than %d", f, small.Len(), largest)
		}
		s.ok(os.WriteFile(f, small.Bytes(), 0o644))
	}
}

// inPalette gives a picture in its 256 most frequent colours: pages have few, and shades of them at the edges of letters.
func inPalette(taken image.Image) image.Image {
	bounds, count := taken.Bounds(), map[color.RGBA]int{}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(taken.At(x, y)).(color.RGBA) }
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[at(x, y)]++
		}
	}
	var colours []color.RGBA
	for c := range count {
		colours = append(colours, c)
	}
	slices.SortFunc(colours, func(a, b color.RGBA) int { return count[b] - count[a] })
	var palette color.Palette
	for _, c := range colours[:min(256, len(colours))] {
		palette = append(palette, c)
	}
	nearest := map[color.RGBA]uint8{}
	for _, c := range colours {
		nearest[c] = uint8(palette.Index(c))
	}
	out := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			out.SetColorIndex(x, y, nearest[at(x, y)])
		}
	}
	return out
}
