// A server that does nothing: it sends each packet back as an answer, without looking
// at it. What it needs for a packet is what the kernel needs.
//
// echo PORT: serves 127.0.0.1, from one socket on each processor it may use.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { batch = 64, largest = 1232 };

static unsigned char packets[batch][largest];

static int open_socket(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), one = 1, room = 4 << 20;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
		err(1, "bind port %d", port);
	return fd;
}

static void serve(int fd)
{
	struct mmsghdr messages[batch] = { 0 };
	struct iovec parts[batch];
	struct sockaddr_in from[batch];

	for (;;) {
		for (int i = 0; i < batch; i++) {
			parts[i] = (struct iovec){ packets[i], largest };
			messages[i].msg_hdr = (struct msghdr){ &from[i], sizeof from[i], &parts[i], 1, 0, 0, 0 };
		}
		int n = recvmmsg(fd, messages, batch, MSG_WAITFORONE, 0);
		if (n < 0)
			err(1, "recvmmsg");
		for (int i = 0; i < n; i++) {
			packets[i][2] |= 0x80; // QR
			parts[i].iov_len = messages[i].msg_len;
		}
		for (int sent = 0; sent < n;) {
			int k = sendmmsg(fd, messages + sent, n - sent, 0);
			sent += k > 0 ? k : 1; // what cannot be sent is lost
		}
	}
}

int main(int argc, char **argv)
{
	cpu_set_t may;
	int port = argc == 2 ? atoi(argv[1]) : 0, others;

	if (port <= 0)
		errx(2, "usage: echo PORT");
	if (sched_getaffinity(0, sizeof may, &may) < 0)
		err(1, "sched_getaffinity");
	others = CPU_COUNT(&may) - 1;
	for (int i = 0; i < others; i++) {
		pid_t child = fork();
		if (child < 0)
			err(1, "fork");
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL); // it ends with the first
			break;
		}
	}
	serve(open_socket(port));
}
