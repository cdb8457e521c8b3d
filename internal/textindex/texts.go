package textindex

import "unsafe"

// Texts copies texts into blocks of memory. A block stays as long as one of its texts is in use:
// who keeps few of many for long copies them. The zero value is ready to use.
type Texts struct {
	block []byte // the one that is being filled
}

const (
	minBlock = 32
	maxBlock = 64 << 10
)

// Add copies a text, and returns it with the memory that was allocated for it.
func (t *Texts) Add(text []byte) (copied []byte, allocated int) {
	if len(text) == 0 {
		return []byte{}, 0
	}
	if len(text) > cap(t.block)-len(t.block) {
		if len(text) > maxBlock/8 {
			return append(make([]byte, 0, len(text)), text...), len(text)
		}
		allocated = max(min(2*cap(t.block), maxBlock), minBlock)
		for allocated < len(text) {
			allocated *= 2
		}
		t.block = make([]byte, 0, allocated)
	}
	at := len(t.block)
	t.block = append(t.block, text...)
	return t.block[at:len(t.block):len(t.block)], allocated
}

// Reset forgets all texts, which nobody may use any more, and keeps a block for others.
func (t *Texts) Reset() { t.block = t.block[:0] }

// AddString is Add for a text that is kept as a string.
func (t *Texts) AddString(text []byte) (copied string, allocated int) {
	b, allocated := t.Add(text)
	return unsafe.String(unsafe.SliceData(b), len(b)), allocated
}
