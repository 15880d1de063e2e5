package terminal

// maxTyped bounds how much of what was typed is kept to be sent again, and maxPending
// how much is taken without a connection. Together they are what the window of a new
// channel has room for (x/crypto/ssh's is 2 MiB), so that sending it does not wait.
const (
	maxTyped   = 2<<20 - maxPending
	maxPending = 16 << 10
)

// history is what was typed, as far as it may have to be sent again. Positions count
// all bytes ever typed.
type history struct {
	kept []byte
	// end is the position behind the last byte, sent that behind the last one which
	// was given to a connection, and start where the pod's count begins.
	end, sent, start int64
}

func (h *history) add(p []byte) {
	h.kept = append(h.kept, p...)
	h.end += int64(len(p))
	if len(h.kept) > 2*maxTyped { // copy seldom
		h.kept = append(h.kept[:0:0], h.kept[len(h.kept)-maxTyped:]...)
	}
}

// pending is how much has not been given to any connection.
func (h *history) pending() int { return int(h.end - h.sent) }

// resume returns what to send on a new connection, when the pod says that the program
// has had n bytes; missing are those that are not kept any more.
func (h *history) resume(n int64) (p []byte, missing int64) {
	from := min(max(h.start+n, h.start), h.end)
	oldest := h.end - int64(min(len(h.kept), maxTyped))
	if from < oldest {
		from, missing = oldest, oldest-from
	}
	h.sent = h.end
	return h.kept[int64(len(h.kept))-(h.end-from):], missing
}

// begin returns what to send to a program that has had nothing yet: what nobody has
// been given.
func (h *history) begin() []byte {
	h.start, h.sent = h.sent, h.end
	h.kept = h.kept[int64(len(h.kept))-(h.end-h.start):]
	return h.kept
}
