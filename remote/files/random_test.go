package files

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestRandomRequestsAreAnsweredAsByOpenSSH goes on from wherever it gets.
func TestRandomRequestsAreAnsweredAsByOpenSSH(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
			compareAnswers(t, func(step int) (op, bool) { return g.next(), step < 150 })
		})
	}
}

// generator makes random requests.
type generator struct {
	*rand.Rand
	opened int
}

func (g *generator) name() string {
	all := []string{
		"f", "d", "d/in", "link", "dirlink", "dirlink/in", "dangling", "loop", "f/below", "nope", "nope/below",
		"new", "new2", "d/new", "empty", "empty/new", "setuid", ".", "", "new/", "../" + strings.Repeat("y", 256),
	}
	return all[g.IntN(len(all))]
}

func (g *generator) handle() string {
	if g.opened == 0 || g.IntN(20) == 0 {
		return []string{"", "bad", "\x00\x00\x00\x63", strings.Repeat("h", 300)}[g.IntN(4)]
	}
	return fmt.Sprintf("@%d", g.IntN(g.opened))
}

// attrs sets some; the mode's bits outside of mask never, which pkg/sftp ignores
// when it makes files.
func (g *generator) attrs(mask uint32) []byte {
	p := packet{}
	flags := uint32(0)
	for _, f := range []uint32{attrSize, attrUIDGID, attrPermissions, attrTimes} {
		if g.IntN(4) == 0 {
			flags |= f
		}
	}
	p = p.uint32(flags)
	if flags&attrSize != 0 {
		p = p.uint64(uint64(g.IntN(30)))
	}
	if flags&attrUIDGID != 0 {
		p = p.uint32(uint32(g.IntN(3))).uint32(uint32(g.IntN(3)))
	}
	if flags&attrPermissions != 0 {
		p = p.uint32([]uint32{0o600, 0o4711, 0o1777, 0o100644, 0, 0o777}[g.IntN(6)] & mask)
	}
	if flags&attrTimes != 0 {
		p = p.uint32(uint32(g.IntN(1 << 30))).uint32(uint32(g.IntN(1 << 30)))
	}
	return p
}

func (g *generator) next() op {
	n := g.name
	extended := func(name string, args ...any) op { return op{typeExtended, append([]any{name}, args...)} }
	for {
		switch g.IntN(30) {
		case 0, 1, 2, 3:
			flags := []uint32{1, 2, 3, 1 | 8, 2 | 8, 2 | 8 | 0x10, 2 | 8 | 0x20, 3 | 8 | 0x20, 2 | 4, 2 | 4 | 8, 8, 0, 2 | 0x10}[g.IntN(13)]
			g.opened++ // at most; a handle that is not there is bad
			return op{typeOpen, []any{n(), flags, g.attrs(0o777)}}
		case 4:
			g.opened++
			return op{typeOpendir, []any{n()}}
		case 5:
			return op{typeClose, []any{g.handle()}}
		case 6, 7:
			return op{typeRead, []any{g.handle(), uint64(g.IntN(20)), uint32(1 + g.IntN(30))}}
		case 8, 9:
			return op{typeWrite, []any{g.handle(), uint64(g.IntN(20)), strings.Repeat("w", g.IntN(10))}}
		case 10:
			return op{typeFstat, []any{g.handle()}}
		case 11:
			return op{typeFsetstat, []any{g.handle(), g.attrs(0o177777)}}
		case 12:
			return op{typeSetstat, []any{n(), g.attrs(0o177777)}}
		case 13:
			return op{typeStat, []any{n()}}
		case 14:
			return op{typeLstat, []any{n()}}
		case 15:
			return op{typeReaddir, []any{g.handle()}}
		case 16:
			return op{typeRemove, []any{n()}}
		case 17:
			return op{typeMkdir, []any{n(), g.attrs(0o177777)}}
		case 18:
			return op{typeRmdir, []any{n()}}
		case 19:
			return op{typeRealpath, []any{n()}}
		case 20: // the other kind differs for links that lead nowhere
			return extended("posix-rename@openssh.com", n(), n())
		case 21:
			return op{typeReadlink, []any{n()}}
		case 22:
			return op{typeSymlink, []any{strings.TrimSuffix(n(), "/"), n()}}
		case 23:
			return extended("posix-rename@openssh.com", n(), n())
		case 24:
			return extended("hardlink@openssh.com", n(), n())
		case 25:
			return extended("fsync@openssh.com", g.handle())
		case 26:
			return extended("lsetstat@openssh.com", n(), g.attrs(0o177777))
		case 27, 28:
			return extended("expand-path@openssh.com", n())
		case 29:
			return extended("unknown@example.com", n())
		}
	}
}
