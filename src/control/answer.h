/* control/answer.h - a reply handed to libmicrohttpd: status, headers, bytes, streams. */
#ifndef CONTROL_ANSWER_H
#define CONTROL_ANSWER_H

#include <microhttpd.h>

#include "control/reply.h"

/* Server-sent events on their way to a client: its connection is suspended while there are none. */
struct answer_stream;

/* Called when a suspended connection has been resumed, from any fiber, perhaps within MHD_run():
 * libmicrohttpd has to be run soon. */
struct answer_waker {
    void (*resumed)(void *arg);
    void *arg;
};

/* Queues the reply; its body, file or stream go over to libmicrohttpd. `*stream` is not NULL if it
 * streams: then answer_stream_gone() must be called when the client leaves, unless the request is
 * completed before. `gone`: it has left already. false: the connection cannot be answered. */
bool answer_queue(struct MHD_Connection *http, struct reply *reply, bool gone,
                  struct answer_waker waker, struct answer_stream **stream);
void answer_stream_gone(struct answer_stream *stream);

#endif
