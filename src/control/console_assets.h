/* control/console_assets.h - the files of the web console, compiled into the program.
 *
 * `console/` is built by npm and Vite, and tools/embed-console turns what comes out into the table
 * behind these functions (see console/meson.build). Everything here is constant and never waits. */
#ifndef CONTROL_CONSOLE_ASSETS_H
#define CONTROL_CONSOLE_ASSETS_H

#include "base/str.h"

/* The policy that the console is written for, to be sent with every file of it (CSP level 3): no
 * inline script or style, nothing from elsewhere, no framing, no string that becomes code. */
#define CONSOLE_CONTENT_SECURITY_POLICY                                                            \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "   \
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "               \
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

struct console_asset {
    struct str path;         /* as in the URL: "/index.html", "/assets/index-Bq3x8f2a.js" */
    struct str bytes;        /* the file */
    struct str gzip;         /* the same as gzip (RFC 1952); empty where that is not smaller */
    struct str content_type; /* "text/html; charset=utf-8" */
    struct str etag; /* weak and quoted, W/"…": it stands for both forms (RFC 9110 §8.8.1) */
    bool immutable;  /* the name carries the content's hash: it may be kept for ever */
};

/* The file at exactly `path`, without query; NULL if there is none. What is found is constant. */
const struct console_asset *console_asset_find(struct str path);

/* The page itself: the answer to every GET of a path that is neither a file nor the API's nor the
 * login's, since the console has its own addresses (/approvals/ID). */
const struct console_asset *console_asset_index(void);

#endif
