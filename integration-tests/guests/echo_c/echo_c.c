// A WASI command in C: an echo server on descriptor 3, until the host closes the listener. Prints
// the number of echoed bytes and exits with the number of connections.
//
// `messages` serves one connection after the other and waits in every call. It echoes messages,
// each with its length in the first byte. `poll` serves all connections at once and waits only in
// poll.

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTENER 3
#define MAX_CLIENTS 8

static size_t n_echoed;
static int n_connections;

static void fail(const char *what) {
    dprintf(2, "%s: %s\n", what, strerror(errno));
    exit(100);
}

// Shuts down and closes the connection.
static void end(int fd) {
    if (shutdown(fd, SHUT_WR) < 0) {
        fail("shutdown");
    }
    if (close(fd) < 0) {
        fail("close");
    }
}

// The next connection, or -1 when the listener is closed or, with SOCK_NONBLOCK, when no connection
// waits.
static int next_connection(int flags) {
    int fd = accept4(LISTENER, NULL, NULL, flags);
    if (fd >= 0) {
        n_connections++;
    } else if (errno != EINVAL && errno != EAGAIN) {
        fail("accept");
    }
    return fd;
}

static void serve_messages(void) {
    int fd;
    while ((fd = next_connection(0)) >= 0) {
        unsigned char message[256];
        ssize_t n;
        while ((n = recv(fd, message, 1, MSG_PEEK)) == 1) {
            ssize_t length = message[0];
            if (recv(fd, message, 1 + length, MSG_WAITALL) != 1 + length) {
                fail("recv of a message");
            }
            for (ssize_t done = 0; done < 1 + length; done += n) {
                n = send(fd, message + done, 1 + length - done, 0);
                if (n < 0) {
                    fail("send");
                }
            }
            n_echoed += 1 + length;
        }
        if (n < 0) {
            fail("recv");
        }
        end(fd);
    }
}

// Received bytes that are not sent back yet.
struct client {
    int fd;
    size_t begin, end;
    char bytes[4096];
};

static struct client clients[MAX_CLIENTS];
static int n_clients;

// Receives and sends without waiting. Returns whether the connection stays open.
static int serve(struct client *client) {
    if (client->begin == client->end) {
        ssize_t n = recv(client->fd, client->bytes, sizeof client->bytes, 0);
        if (n <= 0) {
            if (n < 0 && errno != EAGAIN) {
                fail("recv");
            }
            return n < 0;
        }
        client->begin = 0;
        client->end = n;
    }
    ssize_t n = send(client->fd, client->bytes + client->begin, client->end - client->begin, 0);
    if (n < 0 && errno != EAGAIN) {
        fail("send");
    }
    if (n > 0) {
        client->begin += n;
        n_echoed += n;
    }
    return 1;
}

static void serve_by_poll(void) {
    int is_listening = 1;
    while (is_listening || n_clients > 0) {
        struct pollfd polled[MAX_CLIENTS + 1];
        for (int i = 0; i < n_clients; i++) {
            struct client *client = &clients[i];
            short events = client->begin == client->end ? POLLIN : POLLOUT;
            polled[i] = (struct pollfd){.fd = client->fd, .events = events};
        }
        int listens = is_listening && n_clients < MAX_CLIENTS;
        polled[n_clients] = (struct pollfd){.fd = LISTENER, .events = POLLIN};
        if (poll(polled, n_clients + listens, -1) < 0) {
            fail("poll");
        }
        int accepts = listens && polled[n_clients].revents != 0;
        // Backwards: a removed connection is replaced by the last one, which has been served.
        for (int i = n_clients - 1; i >= 0; i--) {
            if (polled[i].revents != 0 && !serve(&clients[i])) {
                end(clients[i].fd);
                clients[i] = clients[--n_clients];
            }
        }
        if (accepts) {
            int fd = next_connection(SOCK_NONBLOCK);
            if (fd >= 0) {
                clients[n_clients++] = (struct client){.fd = fd};
            } else if (errno == EINVAL) {
                is_listening = 0;
            }
        }
    }
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "messages") == 0) {
        serve_messages();
    } else if (argc == 2 && strcmp(argv[1], "poll") == 0) {
        serve_by_poll();
    } else {
        dprintf(2, "usage: %s messages|poll\n", argc > 0 ? argv[0] : "echo_c");
        return 2;
    }
    if (close(LISTENER) < 0) {
        fail("close of the listener");
    }
    printf("%zu bytes\n", n_echoed);
    return n_connections;
}
