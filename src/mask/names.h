/* mask/names.h - the names of the built-in detectors, for those who only check them. */
#ifndef MASK_NAMES_H
#define MASK_NAMES_H

#include "base/str.h"

/* Ended by NULL. */
extern const char *const mask_detector_names[];

/* Whether a built-in detector is called `name`. */
bool mask_detector_known(struct str name);

#endif
