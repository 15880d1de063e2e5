package sshkit

import (
	"encoding/binary"

	"golang.org/x/crypto/ssh"
)

// Frame is one message on a channel as it came in.
type Frame struct {
	// Kind is data, stderr, eof, close, success, failure, or the name of a
	// request.
	Kind string
	Data []byte
}

// Channel is a channel of a Raw client: the only one in use.
type Channel struct {
	*Raw
	Local, Remote uint32
	// Window is what the server may still send.
	Window uint32
	// Grant makes the client give the window back as data comes in.
	Grant bool
}

// Open opens a channel. A window smaller than usual makes a slow reader.
func (c *Raw) Open(kind string, window uint32, extra []byte) *Channel {
	c.tb.Helper()
	c.Send(OpenMessage(kind, window, extra))
	p := c.Expect(MsgChannelConfirm)
	return &Channel{Raw: c, Remote: binary.BigEndian.Uint32(p[5:]), Window: window}
}

// OpenMessage asks for a channel.
func OpenMessage(kind string, window uint32, extra []byte) []byte {
	return append(append([]byte{MsgChannelOpen}, ssh.Marshal(struct {
		Kind                string
		ID, Window, MaxSize uint32
	}{kind, 0, window, 32 << 10})...), extra...)
}

// Request sends a channel request.
func (ch *Channel) Request(name string, wantReply bool, payload []byte) {
	ch.tb.Helper()
	ch.Send(append(append([]byte{MsgChannelRequest}, ssh.Marshal(struct {
		ID   uint32
		Name string
		Want bool
	}{ch.Remote, name, wantReply})...), payload...))
}

// Exec starts a command and waits for the reply.
func (ch *Channel) Exec(command string) {
	ch.tb.Helper()
	ch.Request("exec", true, ssh.Marshal(struct{ C string }{command}))
	if f := ch.Next(); f.Kind != "success" {
		ch.tb.Fatalf("exec was answered with %s", f.Kind)
	}
}

// Write sends data; the caller minds the server's window.
func (ch *Channel) Write(data []byte) {
	ch.tb.Helper()
	ch.Send(append([]byte{MsgChannelData}, ssh.Marshal(struct {
		ID   uint32
		Data []byte
	}{ch.Remote, data})...))
}

func (ch *Channel) simple(typ byte) {
	ch.tb.Helper()
	ch.Send(binary.BigEndian.AppendUint32([]byte{typ}, ch.Remote))
}

// EOF says that no more data will be sent.
func (ch *Channel) EOF() { ch.simple(MsgChannelEOF) }

// Close closes the channel.
func (ch *Channel) Close() { ch.simple(MsgChannelClose) }

// Adjust lets the server send n more bytes.
func (ch *Channel) Adjust(n uint32) {
	ch.tb.Helper()
	ch.Window += n
	ch.Send(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte{MsgWindowAdjust}, ch.Remote), n))
}

// Next returns the next frame of the channel.
func (ch *Channel) Next() Frame {
	ch.tb.Helper()
	for {
		p := ch.Recv()
		switch p[0] {
		case MsgChannelData:
			return ch.data("data", p[9:])
		case MsgChannelExtended:
			return ch.data("stderr", p[13:])
		case MsgChannelEOF:
			return Frame{Kind: "eof"}
		case MsgChannelClose:
			return Frame{Kind: "close"}
		case MsgChannelSuccess:
			return Frame{Kind: "success"}
		case MsgChannelReqFailed:
			return Frame{Kind: "failure"}
		case MsgChannelRequest:
			var msg struct {
				ID   uint32
				Name string
				Want bool
				Rest []byte `ssh:"rest"`
			}
			ch.check(ssh.Unmarshal(p[1:], &msg))
			return Frame{msg.Name, msg.Rest}
		case MsgGlobalRequest, MsgWindowAdjust:
		default:
			ch.tb.Fatalf("unexpected message %d", p[0])
		}
	}
}

func (ch *Channel) data(kind string, data []byte) Frame {
	ch.tb.Helper()
	n := uint32(len(data))
	if n > ch.Window {
		ch.tb.Fatalf("the server sent %d bytes into a window of %d", n, ch.Window)
	}
	ch.Window -= n
	if ch.Grant && n > 0 {
		ch.Adjust(n)
	}
	return Frame{kind, data}
}

// Record returns all frames until the close, data joined per run of a kind.
func (ch *Channel) Record() []Frame {
	ch.tb.Helper()
	var frames []Frame
	for {
		f := ch.Next()
		if n := len(frames); n > 0 && frames[n-1].Kind == f.Kind && (f.Kind == "data" || f.Kind == "stderr") {
			frames[n-1].Data = append(frames[n-1].Data, f.Data...)
			continue
		}
		frames = append(frames, f)
		if f.Kind == "close" {
			return frames
		}
	}
}

// Kinds lists the kinds of frames.
func Kinds(frames []Frame) []string {
	var kinds []string
	for _, f := range frames {
		kinds = append(kinds, f.Kind)
	}
	return kinds
}

// Text joins the data of the frames of one kind.
func Text(frames []Frame, kind string) string {
	var b []byte
	for _, f := range frames {
		if f.Kind == kind {
			b = append(b, f.Data...)
		}
	}
	return string(b)
}
