package files

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// Packet types of draft-ietf-secsh-filexfer-02 section 3.
const (
	typeInit     = 1
	typeVersion  = 2
	typeOpen     = 3
	typeClose    = 4
	typeRead     = 5
	typeWrite    = 6
	typeLstat    = 7
	typeFstat    = 8
	typeSetstat  = 9
	typeFsetstat = 10
	typeOpendir  = 11
	typeReaddir  = 12
	typeRemove   = 13
	typeMkdir    = 14
	typeRmdir    = 15
	typeRealpath = 16
	typeStat     = 17
	typeRename   = 18
	typeReadlink = 19
	typeSymlink  = 20
	typeStatus   = 101
	typeHandle   = 102
	typeName     = 104
	typeAttrs    = 105
	typeExtended = 200
	typeExtReply = 201
)

// Status codes of section 7.
const (
	statusOK          = 0
	statusEOF         = 1
	statusNoSuchFile  = 2
	statusPermission  = 3
	statusFailure     = 4
	statusBadMessage  = 5
	statusUnsupported = 8
)

// Attribute flags of section 5.
const (
	attrSize        = 1
	attrUIDGID      = 2
	attrPermissions = 4
	attrTimes       = 8
	attrExtended    = 0x80000000
)

// Flags of open requests, section 6.3.
const (
	openRead   = 1
	openWrite  = 2
	openAppend = 4
	openCreate = 8
	openExcl   = 0x20
)

// maxMessage is the longest packet taken; OpenSSH's and pkg/sftp's limit.
const maxMessage = 256 << 10

var errBadMessage = errors.New("malformed sftp packet")

// reader takes the fields of a packet apart. After an error all that follows
// is zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) uint32() uint32 {
	if p := r.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if p := r.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

func (r *reader) string() string {
	n := r.uint32()
	if n > maxMessage {
		r.bad = true
	}
	return string(r.take(int(n)))
}

// attrs are file attributes as far as the flags name them.
type attrs struct {
	flags        uint32
	size         uint64
	uid, gid     uint32
	mode         uint32
	atime, mtime uint32
}

func (r *reader) attrs() attrs {
	a := attrs{flags: r.uint32()}
	if a.flags&attrSize != 0 {
		a.size = r.uint64()
	}
	if a.flags&attrUIDGID != 0 {
		a.uid, a.gid = r.uint32(), r.uint32()
	}
	if a.flags&attrPermissions != 0 {
		a.mode = r.uint32()
	}
	if a.flags&attrTimes != 0 {
		a.atime, a.mtime = r.uint32(), r.uint32()
	}
	return a
}

// packet builds a response.
type packet []byte

// newPacket starts a packet; seal fills in its length.
func newPacket(typ byte, id uint32) packet {
	p := packet{0, 0, 0, 0, typ}
	return p.uint32(id)
}

func (p packet) uint32(v uint32) packet { return binary.BigEndian.AppendUint32(p, v) }
func (p packet) uint64(v uint64) packet { return binary.BigEndian.AppendUint64(p, v) }

func (p packet) string(s string) packet {
	return append(p.uint32(uint32(len(s))), s...)
}

func (p packet) seal() []byte {
	binary.BigEndian.PutUint32(p, uint32(len(p)-4))
	return p
}

func statusPacket(id uint32, err error) packet {
	code, text := statusOf(err)
	return newPacket(typeStatus, id).uint32(code).string(text).string("")
}

// unsupported marks what a server need not do.
var errUnsupported = errors.New("operation unsupported")

// statusOf chooses codes as OpenSSH does (errno_to_portable in sftp-server.c).
func statusOf(err error) (uint32, string) {
	switch {
	case err == nil:
		return statusOK, "Success"
	case errors.Is(err, errEOF):
		return statusEOF, "End of file"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EBADF):
		return statusNoSuchFile, "No such file"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return statusPermission, "Permission denied"
	case errors.Is(err, errUnsupported), errors.Is(err, syscall.ENOSYS):
		return statusUnsupported, "Operation unsupported"
	case errors.Is(err, errBadMessage), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENAMETOOLONG):
		return statusBadMessage, errnoText(err, "Bad message")
	}
	return statusFailure, errnoText(err, err.Error())
}

// errnoText leaves out paths, which clients know.
func errnoText(err error, other string) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return other
}

// namePacket answers with a single name.
func namePacket(id uint32, name string) packet {
	return newPacket(typeName, id).uint32(1).string(name).string(name).uint32(0)
}

// attrsPacket answers with attributes.
func attrsPacket(id uint32, st *unix.Stat_t) packet {
	return newPacket(typeAttrs, id).attrs(st)
}

func (p packet) attrs(st *unix.Stat_t) packet {
	return p.uint32(attrSize | attrUIDGID | attrPermissions | attrTimes).
		uint64(uint64(st.Size)).uint32(st.Uid).uint32(st.Gid).uint32(st.Mode).
		uint32(uint32(st.Atim.Sec)).uint32(uint32(st.Mtim.Sec))
}
