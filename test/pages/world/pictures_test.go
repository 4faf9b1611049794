//go:build pages

package world

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// largest a picture may be, in bytes: a README shows several.
const largest = 150_000

// TestPictures takes the pictures of docs/pictures.
func TestPictures(t *testing.T) {
	s, told := tell(t, "", "")
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

// inPalette gives a picture in 256 of its colours: each is the one that the pixels missed most by those before.
func inPalette(taken image.Image) image.Image {
	bounds, count := taken.Bounds(), map[color.RGBA]int{}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(taken.At(x, y)).(color.RGBA) }
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[at(x, y)]++
		}
	}
	var palette color.Palette
	missed, nearest := map[color.RGBA]int{}, map[color.RGBA]uint8{}
	for c := range count {
		missed[c] = 1 << 20
	}
	for len(palette) < min(256, len(count)) {
		var next color.RGBA
		most := -1
		for c, by := range missed {
			if m := by * count[c]; m > most {
				next, most = c, m
			}
		}
		for c, by := range missed {
			if d := distance(c, next); d < by {
				missed[c], nearest[c] = d, uint8(len(palette))
			}
		}
		palette = append(palette, next)
	}
	out := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			out.SetColorIndex(x, y, nearest[at(x, y)])
		}
	}
	return out
}

func distance(a, b color.RGBA) int {
	red, green, blue := int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B)
	return red*red + green*green + blue*blue
}
