/* control/confine.h - what the control process may still reach of the files: computed from what its
 * configuration names. */
#ifndef CONTROL_CONFINE_H
#define CONTROL_CONFINE_H

#include "control/state.h"

/* The folder in the state directory that is control's own; the rest of it is the keeper's, with the
 * local issuer's key. Made if it is not there. `*out` lives in c->arena. ERR_IO, ERR_NOMEM. */
enum err confine_own_folder(struct control *c, struct str *out);

/* Enters the sandbox, for good. No thread may have been started. */
enum err confine_enter(struct control *c, struct str own_folder);

#endif
