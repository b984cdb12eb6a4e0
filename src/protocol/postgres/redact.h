/* protocol/postgres/redact.h - detectors over one cell of a known type. Pure. */
#ifndef PROTOCOL_POSTGRES_REDACT_H
#define PROTOCOL_POSTGRES_REDACT_H

#include "mask/detect.h"

/* Overwrites what `d` finds in a cell, whose length stays; adds the number to `*findings`. False:
 * the stars would be no value of the type, so the cell is to become NULL. */
bool pgredact_cell(struct detectors *d, uint32_t type, bool binary, char *value, size_t len,
                   uint64_t *findings);

#endif
