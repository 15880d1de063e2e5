package main

import "net"

// resetConn closes conn so that the other end sees a reset.
func resetConn(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}
