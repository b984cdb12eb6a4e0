/* cli/api_client.h - the gateway's HTTPS API, for subcommands that people and agents use from their
 * own machines: they show a token, as the console shows a cookie. */
#ifndef CLI_API_CLIENT_H
#define CLI_API_CLIENT_H

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct api_client;

/* --url, --ca, --token-file, --json, --help; the rest by $BULKHEAD_URL, $BULKHEAD_CA and
 * $BULKHEAD_TOKEN. */
struct api_options {
    const char *url, *ca, *token_file;
    bool json, help;
};
#define API_CLIENT_OPTIONS                                                                         \
    {"url", required_argument, NULL, 'u'}, {"ca", required_argument, NULL, 'c'},                   \
        {"token-file", required_argument, NULL, 'f'}, {"json", no_argument, NULL, 'j'},            \
    {                                                                                              \
        "help", no_argument, NULL, 'h'                                                             \
    }
#define API_CLIENT_USAGE                                                                           \
    "  --url URL          the console's address; default: $BULKHEAD_URL\n"                         \
    "  --token-file FILE  holds your token; default: the token in $BULKHEAD_TOKEN\n"               \
    "  --ca FILE          certificates to trust; default: $BULKHEAD_CA, else the system's\n"       \
    "  --json             the API's answer as it is\n"

/* Takes one of these options, as getopt_long() gave it. False: it is none of them. */
bool api_options_take(struct api_options *o, int option, const char *value);

/* `*out` is the caller's. ERR_INVALID (no address, no token; err_text() says what to give),
 * ERR_NOT_FOUND, ERR_IO, ERR_NOMEM. */
enum err api_client_open(const struct api_options *options, struct api_client **out);
void api_client_close(struct api_client *c); /* NULL is allowed */

/* One call. `body` (may be NULL) is borrowed; `*out` is the caller's, NULL where the answer has no
 * body. What the API refuses is ERR_DENIED with its words; ERR_UNAVAILABLE: it cannot be reached;
 * ERR_PROTOCOL: what answers is not the API. */
enum err api_client_call(struct api_client *c, const char *method, const char *path,
                         const json_t *body, json_t **out);

/* A string member of an answer; "" if there is none. */
const char *api_text(const json_t *object, const char *key);

/* The answer as JSON on standard output. */
void api_print_json(const json_t *answer);

#endif
