/* control/dry_run_text.h - a configuration's text with its policies replaced. Pure. */
#ifndef CONTROL_DRY_RUN_TEXT_H
#define CONTROL_DRY_RUN_TEXT_H

#include "base/buf.h"

/* Appends `policies` (YAML: a mapping with the key, or the list alone) and then `config` without
 * its own `policies`. `*shift`: so many lines precede those of `policies`. Which errors the result
 * has is for config_parse() to say. ERR_UNSUPPORTED: the configuration is not written in block
 * style; ERR_NOMEM, ERR_LIMIT. */
enum err dry_run_text(struct str config, struct str policies, struct buf *out, unsigned *shift);

/* Moves line numbers in a report about `name` ("name:LINE:COLUMN: …") back by `shift`; lines about
 * what follows the first `lines` lines say so. */
void dry_run_report(struct str report, struct str name, unsigned shift, unsigned lines,
                    struct buf *out);

#endif
