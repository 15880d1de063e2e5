package files

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// namesByID answers users-groups-by-id@openssh.com (OpenSSH PROTOCOL section 4.8):
// the names of users and of groups, empty for those that have none. The files
// are read here: the system's other sources of names need its C library.
func (p *interposer) namesByID(id uint32, r *reader) packet {
	users, groups := reader{b: []byte(r.string())}, reader{b: []byte(r.string())}
	if r.bad || len(users.b)%4 != 0 || len(groups.b)%4 != 0 {
		r.bad = true
		return nil
	}
	return newPacket(typeExtReply, id).
		string(names(&users, "/etc/passwd")).
		string(names(&groups, "/etc/group"))
}

// names looks numbers up in a file, see namesByNumber.
func names(ids *reader, file string) string {
	known := namesByNumber(file)
	var out packet
	for len(ids.b) > 0 {
		out = out.string(known[ids.uint32()])
	}
	return string(out)
}

// namesByNumber reads a file of lines "name:password:number:…".
func namesByNumber(file string) map[uint32]string {
	known := make(map[uint32]string)
	f, err := os.Open(file)
	if err != nil {
		return known
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.SplitN(lines.Text(), ":", 4)
		if len(fields) < 4 {
			continue
		}
		n, err := strconv.ParseUint(fields[2], 10, 32)
		if _, again := known[uint32(n)]; err == nil && !again {
			known[uint32(n)] = fields[0]
		}
	}
	return known
}
