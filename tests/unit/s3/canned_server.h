/* canned_server.h - an HTTP server in a thread that says what it was told to, one connection after
 * the other, and keeps the last request's head. */
#ifndef TESTS_UNIT_S3_CANNED_SERVER_H
#define TESTS_UNIT_S3_CANNED_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct canned_server {
  int listener;
  pthread_t thread;
  const char *const *answers; /* the last one again and again; NULL in the list: hang up */
  size_t count;
  atomic_int requests;
  char head[8192]; /* of the last request; read it when the answer has come */
};

static void canned_read_head(struct canned_server *server, int peer) {
  size_t length = 0;
  while (length < sizeof server->head - 1) {
    ssize_t got = read(peer, server->head + length, sizeof server->head - 1 - length);
    length += got > 0 ? (size_t)got : 0;
    server->head[length] = '\0';
    if (got <= 0 || strstr(server->head, "\r\n\r\n") != NULL) {
      return;
    }
  }
}

static void *canned_serve(void *context) {
  struct canned_server *server = context;
  for (int peer = accept(server->listener, NULL, NULL); peer >= 0;
       peer = accept(server->listener, NULL, NULL)) {
    canned_read_head(server, peer);
    size_t index = (size_t)atomic_fetch_add(&server->requests, 1);
    const char *answer = server->answers[index < server->count ? index : server->count - 1];
    if (answer != NULL && write(peer, answer, strlen(answer)) < 0) {
      perror("canned server");
    }
    shutdown(peer, SHUT_WR);
    close(peer);
  }
  return NULL;
}

/* Starts on a free port and makes it the endpoint of S3. answers are whole, with status line, and
 * close the connection. */
static inline void canned_open(struct canned_server *server, const char *const *answers,
                               size_t count) {
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof here;
  memset(server, 0, sizeof *server);
  server->answers = answers;
  server->count = count;
  server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bind(server->listener, (struct sockaddr *)&here, sizeof here);
  listen(server->listener, 8);
  getsockname(server->listener, (struct sockaddr *)&here, &size);
  char endpoint[64];
  snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", ntohs(here.sin_port));
  setenv("AWS_ENDPOINT_URL_S3", endpoint, 1);
  setenv("AWS_ACCESS_KEY_ID", "key", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
  setenv("AWS_REGION", "eu-test-1", 1);
  pthread_create(&server->thread, NULL, canned_serve, server);
}

/* The endpoint stays in the environment: from now on nobody answers there. */
static inline void canned_close(struct canned_server *server) {
  shutdown(server->listener, SHUT_RDWR);
  pthread_join(server->thread, NULL);
  close(server->listener);
}

#define CANNED(status, body) "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n" body
#define CANNED_ERROR(status, code) CANNED(status, "<Error><Code>" code "</Code></Error>")

#endif
