package probe

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
)

// maxPacket bounds one packet of a MySQL server. It bounds the key too that a
// server may want a password encrypted with.
const maxPacket = 16 << 10

// First bytes of the packets of a MySQL server.
const (
	packetOK     = 0x00
	packetMore   = 0x01
	packetSwitch = 0xfe
	packetError  = 0xff
)

// packets is a connection to a MySQL server of which whole packets are read,
// and only such as the driver can take. The driver trusts its server: it makes
// room for as much as a packet or an answer announces, and panics on packets
// that are too short.
type packets struct {
	net.Conn

	check  func(*packets, []byte) error // of the next packet; nil: checkGreeting
	unread []byte
	err    error // of the latest read
}

func (p *packets) Read(b []byte) (int, error) {
	if len(p.unread) == 0 && p.err == nil {
		p.unread, p.err = p.next()
	}
	if p.err != nil {
		return 0, p.err
	}
	n := copy(b, p.unread)
	p.unread = p.unread[n:]
	return n, nil
}

// next reads a packet with its header.
func (p *packets) next() ([]byte, error) {
	header := make([]byte, 4)
	if _, err := io.ReadFull(p.Conn, header); err != nil {
		return nil, ended(err)
	}
	length := int(binary.LittleEndian.Uint32(header) & 0xffffff) // the fourth byte counts packets
	if length == 0 || length > maxPacket {
		return nil, fmt.Errorf("not what a MySQL server says: a packet of %d bytes", length)
	}
	packet := append(header, make([]byte, length)...)
	if _, err := io.ReadFull(p.Conn, packet[4:]); err != nil {
		return nil, ended(err)
	}
	check := (*packets).checkGreeting
	if p.check != nil {
		check = p.check
	}
	if err := check(p, packet[4:]); err != nil {
		return nil, err
	}
	return packet, nil
}

func ended(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// checkGreeting is for the first packet: version, a text that ends with a zero,
// and 44 bytes at least.
func (p *packets) checkGreeting(packet []byte) error {
	p.check = (*packets).checkLogin
	if packet[0] == packetError {
		return checkError(packet)
	}
	end := bytes.IndexByte(packet[1:], 0)
	if end < 0 || len(packet) < 1+end+1+44 {
		return errors.New("not what a MySQL server greets with")
	}
	return nil
}

// checkLogin is for the packets from the greeting to the end of the login.
func (p *packets) checkLogin(packet []byte) error {
	switch packet[0] {
	case packetOK:
		return checkOK(packet)
	case packetMore:
		if len(packet) > 2 {
			return checkKey(packet[1:])
		}
	case packetSwitch:
		name, data, _ := bytes.Cut(packet[1:], []byte{0})
		if string(name) == "mysql_native_password" && len(data) < 20 {
			return errBroken
		}
	default:
		return checkError(packet)
	}
	return nil
}

// expectAnswer makes the next packet the first one of an answer. From then on
// a panic of the driver leaves nothing behind, only what it makes room for
// matters.
func (p *packets) expectAnswer() {
	p.check = func(p *packets, packet []byte) error {
		p.check = func(*packets, []byte) error { return nil }
		switch first := packet[0]; {
		case first == packetOK: // and nothing more, for it was one command
			p.check = func(*packets, []byte) error { return errTooLong }
		case first > 250 && first != packetError:
			return errBroken // a request for a file of ours, or too many columns
		}
		return nil
	}
}

// checkOK is for the OK to a login: two numbers, of one byte each as nothing was
// changed, and a status.
func checkOK(packet []byte) error {
	if len(packet) < 7 || packet[1] > 250 || packet[2] > 250 {
		return errBroken
	}
	return nil
}

func checkError(packet []byte) error {
	if packet[0] != packetError || len(packet) < 4 || packet[3] == '#' && len(packet) < 9 {
		return errBroken
	}
	return nil
}

// checkKey is for the key that a password is to be encrypted with.
func checkKey(text []byte) error {
	block, _ := pem.Decode(text)
	if block == nil {
		return errBroken
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return errBroken
	}
	if _, ok := key.(*rsa.PublicKey); !ok {
		return errBroken
	}
	return nil
}
