/* mask/detect_scan.h - long values, piece by piece. Of the room; others use detect.h. */
#ifndef MASK_DETECT_SCAN_H
#define MASK_DETECT_SCAN_H

#include "mask/detect.h"

/* Redacts a whole value by way of the scan; what cannot be done is overwritten. Returns the number
 * of matches. */
size_t detect_scan_in_place(struct detect_scan *s, char *value, size_t len, uint64_t *hits);

#endif
